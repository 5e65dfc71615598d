/* What clang-format would write otherwise. */
int base_layout(int a) { /* expect: format */
  return a;
}
