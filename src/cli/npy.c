/* npy.c - npy.h. */
#include "cli/npy.h"

#include <stdint.h>
#include <string.h>

bool npy_write_head(whole_file *w, size_t rows, size_t columns) {
    /* Everything before the numbers is a multiple of 64 bytes, filled with spaces; the last one is
     * a newline. Two shapes of 20 digits each fit into 128. */
    char head[128];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    const size_t described = sizeof head - 10;
    head[8] = (char)described;
    head[9] = 0;
    const int length =
        snprintf(head + 10, described,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);
    head[10 + length] = ' ';
    head[sizeof head - 1] = '\n';
    return whole_file_write(w, head, sizeof head);
}

bool npy_write_row(whole_file *w, const float *row, size_t columns) {
    unsigned char bytes[4 * 1024];
    for (size_t start = 0; start < columns; start += sizeof bytes / 4) {
        const size_t left = columns - start;
        const size_t count = left < sizeof bytes / 4 ? left : sizeof bytes / 4;
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, &row[start + i], sizeof bits);
            for (size_t k = 0; k < 4; k++) {
                bytes[4 * i + k] = (unsigned char)(bits >> (8 * k));
            }
        }
        if (!whole_file_write(w, bytes, 4 * count)) {
            return false;
        }
    }
    return true;
}
