/* encode_avx2.c - rows of weights encoded by searching, in AVX2: the loops of quant/encode256.h
 * and encode32.h. */
#include "kernels/x86/parts.h"
#include "kernels/x86/vec_avx2.h"

#include "quant/encode256.h"
#include "quant/encode32.h"
#include "quant/encode_codebook.h"

void encode_fill_avx2(kernel_table *table) {
    table->encode[QUANT_Q4_0] = encode_q4_0;
    table->encode[QUANT_Q4_1] = encode_q4_1;
    table->encode[QUANT_Q5_0] = encode_q5_0;
    table->encode[QUANT_Q5_1] = encode_q5_1;
    table->encode[QUANT_Q8_0] = encode_q8_0;
    table->encode[QUANT_Q2_K] = encode_q2_k;
    table->encode[QUANT_Q3_K] = encode_q3_k;
    table->encode[QUANT_Q4_K] = encode_q4_k;
    table->encode[QUANT_Q5_K] = encode_q5_k;
    table->encode[QUANT_Q6_K] = encode_q6_k;
    table->encode[QUANT_IQ4_NL] = encode_iq4_nl;
    table->encode[QUANT_IQ4_XS] = encode_iq4_xs;
    table->encode[QUANT_MXFP4] = encode_mxfp4;
}
