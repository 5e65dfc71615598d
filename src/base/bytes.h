/* bytes.h - numbers of a file's bytes, at any address. Files are little-endian, and so are the
 * machines that this is compiled for. The caller knows that the bytes are there. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read as they lie");

static inline uint32_t bytes_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Of `count` bytes, at most 8. */
static inline uint64_t bytes_number(const uint8_t *at, size_t count) {
    uint64_t value = 0;
    memcpy(&value, at, count);
    return value;
}

static inline float bytes_f32(const uint8_t *at) {
    float value;
    memcpy(&value, at, sizeof value);
    return value;
}

#endif
