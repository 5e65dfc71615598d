/* words_madd.h - packed_loops.h's sums of products by VPMADDUBSW and VPMADDWD, where there is no
 * VNNI. A file that includes this has included the vectors of its level.
 *
 * Unsigned weights meet signed activations. Up to `fit` products of words are added in 16 bits;
 * int_dot_end turns the sum into 32.
 */
enum { SIGNED_OFFSET = 0 }; /* signed bytes are multiplied as they are */

X86_INLINE vec_int int_madd_16(vec_int sum, vec_int a, vec_int b) {
    return int_add(sum, int_pairs_16(a, b));
}

X86_INLINE size_t int_dot_fit(size_t fit) {
    return fit;
}

X86_INLINE vec_int int_dot_begin(vec_int start, vec_int w, vec_int x) {
    (void)start;
    return int_pairs_8(w, x);
}

X86_INLINE vec_int int_dot_more(vec_int sum, vec_int w, vec_int x) {
    return int_add_16(sum, int_pairs_8(w, x));
}

X86_INLINE vec_int int_dot_end(vec_int start, vec_int sum) {
    const int32_t ones = 0x00010001;
    return int_madd_16(start, sum, int_all(&ones));
}

/* A signed byte's sign goes over to x, which is never -128. */
X86_INLINE vec_int int_dot_begin_signed(vec_int start, vec_int w, vec_int x) {
    (void)start;
    return int_pairs_8(int_abs_8(w), int_negate_8(x, w));
}

/* A small scale, byte `which` of each lane's word, as int_dot_scaled wants it. */
X86_INLINE vec_int int_dot_scale(vec_int bytes, int which) {
    return int_sign_16(int_pick_bytes(bytes, 0x00800080u | 0x01000100u * (uint32_t)which));
}

X86_INLINE vec_int int_dot_scaled(vec_int start, vec_int sum, vec_int scale) {
    return int_madd_16(start, sum, scale);
}
