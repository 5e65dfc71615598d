/* neon.c - the entries that NEON, and then its dot product, give the table. */
#include "kernels/arm/neon.h"

#include "kernels/levels.h"

void kernel_fill_neon(kernel_table *table) {
    table->name = "neon";
    table->matmul[QUANT_F32] = neon_matmul_f32;
    table->matmul[QUANT_Q8_0] = neon_matmul_q8_0;
    table->make_row[KERNEL_ROW_Q8_32] = neon_make_row_q8_32;
    table->decode[QUANT_F16] = neon_decode_f16;
    table->dot = neon_dot;
    table->sum = neon_sum;
    table->max = neon_max;
    table->scale = neon_scale;
    table->add = neon_add;
    table->exp_shifted = neon_exp_shifted;
    table->silu_mul = neon_silu_mul;
    table->rms_norm = neon_rms_norm;
    table->rope_pairs = neon_rope_pairs;
    neon_attention_fill(table);
}

void kernel_fill_dotprod(kernel_table *table) {
    table->name = "neon dotprod";
    table->matmul[QUANT_Q8_0] = dotprod_matmul_q8_0;
}
