/* words_vnni.h - packed_loops.h's sums of products by VNNI. A file that includes this has included
 * the vectors of its level and defined int_add_quads_8 (VPDPBUSD), to which any number of unsigned
 * weights times signed activations may be added, and int_madd_16 (VPDPWSSD).
 */
enum { SIGNED_OFFSET = 128 }; /* signed bytes get this added, to be unsigned */

X86_INLINE size_t int_dot_fit(size_t fit) {
    (void)fit;
    return 8;
}

X86_INLINE vec_int int_dot_begin(vec_int start, vec_int w, vec_int x) {
    return int_add_quads_8(start, w, x);
}

X86_INLINE vec_int int_dot_more(vec_int sum, vec_int w, vec_int x) {
    return int_add_quads_8(sum, w, x);
}

X86_INLINE vec_int int_dot_end(vec_int start, vec_int sum) {
    (void)start; /* the sum began with it */
    return sum;
}

X86_INLINE vec_int int_dot_begin_signed(vec_int start, vec_int w, vec_int x) {
    return int_add_quads_8(start, int_xor(w, int_all_bytes(0x80)), x);
}

/* A small scale, byte `which` of each lane's word, as int_dot_scaled wants it. */
X86_INLINE vec_int int_dot_scale(vec_int bytes, int which) {
    return int_sign_32(int_shift_left(bytes, 24 - 8 * which));
}

X86_INLINE vec_int int_dot_scaled(vec_int start, vec_int sum, vec_int scale) {
    return int_add(start, int_mul(sum, scale));
}
