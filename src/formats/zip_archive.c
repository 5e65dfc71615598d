#include "formats/zip_archive.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    LOCAL_BYTES = 30,   /* "PK\3\4", fixed part */
    CENTRAL_BYTES = 46, /* "PK\1\2" */
    END_BYTES = 22,     /* "PK\5\6" */
    END64_BYTES = 56,   /* "PK\6\6" */
    LOCATOR_BYTES = 20, /* "PK\6\7" */
    FLAG_ENCRYPTED = 1 | 64,
    EXTRA_ZIP64 = 1,
};

static const uint32_t local_mark = 0x04034b50, central_mark = 0x02014b50, end_mark = 0x06054b50,
                      end64_mark = 0x06064b50, locator_mark = 0x07064b50;

bool zip_detect(const uint8_t *bytes, size_t size) {
    return size >= 4 && bytes_number(bytes, 4) == local_mark;
}

/* ---- where the directory is ----------------------------------------------------------------- */

typedef struct directory {
    uint64_t begin, bytes, count;
} directory;

/* The last record's place, whose comment must reach the end of the file; SIZE_MAX: none. */
static size_t find_end(const uint8_t *bytes, size_t size) {
    if (size < END_BYTES) {
        return SIZE_MAX;
    }
    const size_t farthest = size_min(size - END_BYTES, UINT16_MAX);
    for (size_t comment = 0; comment <= farthest; comment++) {
        const size_t at = size - END_BYTES - comment;
        if (bytes_number(bytes + at, 4) == end_mark &&
            bytes_number(bytes + at + 20, 2) == comment) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* `end`: place of the record, which bounds the directory. */
static sl_status read_directory(const uint8_t *bytes, size_t end, directory *d, sl_error *error) {
    const uint8_t *record = bytes + end;
    *d = (directory){bytes_number(record + 16, 4), bytes_number(record + 12, 4),
                     bytes_number(record + 10, 2)};
    uint64_t limit = end, disks = bytes_number(record + 4, 2) | bytes_number(record + 6, 2);
    if (end >= LOCATOR_BYTES && bytes_number(record - LOCATOR_BYTES, 4) == locator_mark) {
        const uint64_t at = bytes_number(record - LOCATOR_BYTES + 8, 8);
        if (end < LOCATOR_BYTES + END64_BYTES || at > end - LOCATOR_BYTES - END64_BYTES ||
            bytes_number(bytes + at, 4) != end64_mark) {
            return error_set(error, SL_ERR_FORMAT,
                             "byte %zu: the zip archive's 64-bit end record is not where it is "
                             "said to be",
                             end - LOCATOR_BYTES);
        }
        disks = bytes_number(bytes + at + 16, 4) | bytes_number(bytes + at + 20, 4);
        *d = (directory){bytes_number(bytes + at + 48, 8), bytes_number(bytes + at + 40, 8),
                         bytes_number(bytes + at + 32, 8)};
        limit = at;
    }
    if (disks != 0) {
        return error_set(error, SL_ERR_UNSUPPORTED, "the zip archive spans several disks");
    }
    if (d->begin > limit || d->bytes != limit - d->begin) {
        return error_set(error, SL_ERR_FORMAT,
                         "the zip archive's directory is said to have %" PRIu64
                         " bytes at byte %" PRIu64 ", expected it to end at byte %" PRIu64,
                         d->bytes, d->begin, limit);
    }
    if (d->count > LIMIT_ZIP_ENTRIES || d->count > d->bytes / CENTRAL_BYTES) {
        return error_set(error, SL_ERR_FORMAT,
                         "the zip archive is said to have %" PRIu64
                         " entries, more than its directory of %" PRIu64
                         " bytes can hold, or over %u",
                         d->count, d->bytes, LIMIT_ZIP_ENTRIES);
    }
    return SL_OK;
}

/* ---- one entry ------------------------------------------------------------------------------ */

/* What a path may not be that is to stay inside the archive. */
static bool name_is_safe(str name) {
    if (name.len == 0 || name.ptr[0] == '/') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        const bool at_start = i == 0 || name.ptr[i - 1] == '/';
        const bool dots = at_start && i + 2 <= name.len && memcmp(name.ptr + i, "..", 2) == 0 &&
                          (i + 2 == name.len || name.ptr[i + 2] == '/');
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == '\\' || dots) {
            return false;
        }
    }
    return true;
}

typedef struct central_header {
    str name;
    uint64_t stored, size, begin;
    size_t bytes; /* of the header with name, extra fields and comment */
} central_header;

/* The 64-bit values take the places of those 32-bit ones that are all ones, in this order. */
static bool read_zip64(const uint8_t *extra, size_t bytes, central_header *h) {
    uint64_t *const wide[] = {&h->size, &h->stored, &h->begin};
    for (size_t at = 0; at + 4 <= bytes;) {
        const size_t length = (size_t)bytes_number(extra + at + 2, 2);
        if (length > bytes - at - 4) {
            return false;
        }
        size_t used = 0;
        for (size_t i = 0; i < COUNT_OF(wide) && bytes_number(extra + at, 2) == EXTRA_ZIP64; i++) {
            if (*wide[i] == UINT32_MAX && used + 8 <= length) {
                *wide[i] = bytes_number(extra + at + 4 + used, 8);
                used += 8;
            }
        }
        at += 4 + length;
    }
    return true;
}

/* `at`: the header; `left`: bytes from there to the directory's end. */
static sl_status read_central(const uint8_t *at, size_t left, size_t number, central_header *h,
                              sl_error *error) {
    if (left < CENTRAL_BYTES || bytes_number(at, 4) != central_mark) {
        return error_set(error, SL_ERR_FORMAT,
                         "the zip archive's directory ends at entry %zu, or has no entry there",
                         number);
    }
    const size_t name = (size_t)bytes_number(at + 28, 2), extra = (size_t)bytes_number(at + 30, 2);
    h->bytes = CENTRAL_BYTES + name + extra + (size_t)bytes_number(at + 32, 2);
    if (h->bytes > left) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry %zu of the zip archive: its name or extra fields pass the "
                         "directory's end",
                         number);
    }
    h->name = (str){(const char *)at + CENTRAL_BYTES, name};
    h->stored = bytes_number(at + 20, 4);
    h->size = bytes_number(at + 24, 4);
    h->begin = bytes_number(at + 42, 4);
    if (!name_is_safe(h->name)) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry %zu of the zip archive: the name \"%.*s\" is empty, absolute, "
                         "leaves the archive, or has odd characters",
                         number, STR_ARG(h->name));
    }
    if (!read_zip64(at + CENTRAL_BYTES + name, extra, h)) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry \"%.*s\" of the zip archive: an extra field passes their end",
                         STR_ARG(h->name));
    }
    const unsigned method = (unsigned)bytes_number(at + 10, 2);
    if (method != 0 || bytes_number(at + 8, 2) & FLAG_ENCRYPTED || h->stored != h->size) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "entry \"%.*s\" of the zip archive is compressed (method %u) or "
                         "encrypted; torch.save stores entries as they are",
                         STR_ARG(h->name), method);
    }
    return SL_OK;
}

/* `limit`: the directory's begin. */
static sl_status find_data(const uint8_t *bytes, uint64_t limit, const central_header *h,
                           zip_entry *entry, sl_error *error) {
    const bool inside = h->begin <= limit && limit - h->begin >= LOCAL_BYTES;
    const uint8_t *local = inside ? bytes + h->begin : bytes;
    if (!inside || bytes_number(local, 4) != local_mark) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry \"%.*s\" of the zip archive: there is no entry at byte %" PRIu64,
                         STR_ARG(h->name), h->begin);
    }
    const uint64_t left = limit - h->begin - LOCAL_BYTES, name = bytes_number(local + 26, 2),
                   extra = bytes_number(local + 28, 2);
    if (name + extra > left || h->size > left - name - extra) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry \"%.*s\" of the zip archive: its %" PRIu64
                         " bytes pass the begin of the directory",
                         STR_ARG(h->name), h->size);
    }
    if (!str_equal(h->name, (str){(const char *)local + LOCAL_BYTES, (size_t)name}) ||
        bytes_number(local + 8, 2) != 0 || bytes_number(local + 6, 2) & FLAG_ENCRYPTED) {
        return error_set(error, SL_ERR_FORMAT,
                         "entry \"%.*s\" of the zip archive: its two headers do not agree",
                         STR_ARG(h->name));
    }
    *entry = (zip_entry){
        .name = h->name,
        .data = local + LOCAL_BYTES + name + extra,
        .bytes = (size_t)h->size,
        .begin = (size_t)h->begin,
    };
    return SL_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int by_begin(const void *left, const void *right) {
    const zip_entry *a = left, *b = right;
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

static sl_status read_entries(const uint8_t *bytes, const directory *d, zip_archive *archive,
                              sl_error *error) {
    size_t at = (size_t)d->begin;
    for (size_t i = 0; i < d->count; i++) {
        central_header h = {0};
        zip_entry entry;
        sl_status status =
            read_central(bytes + at, (size_t)(d->begin + d->bytes) - at, i, &h, error);
        if (status == SL_OK) {
            status = find_data(bytes, d->begin, &h, &entry, error);
        }
        if (status == SL_OK) {
            status = array_push(&archive->entries, &entry, error);
        }
        if (status != SL_OK) {
            return status;
        }
        at += h.bytes;
    }
    return SL_OK;
}

static sl_status check_entries(const uint8_t *bytes, zip_archive *archive, sl_error *error) {
    zip_entry *e = archive->entries.items;
    if (archive->entries.count > 0) {
        qsort(e, archive->entries.count, sizeof *e, by_begin);
    }
    for (size_t i = 1; i < archive->entries.count; i++) {
        const size_t end = (size_t)(e[i - 1].data - bytes) + e[i - 1].bytes;
        if (e[i].begin < end) {
            return error_set(error, SL_ERR_FORMAT,
                             "the zip archive's entries \"%.*s\" and \"%.*s\" overlap",
                             STR_ARG(e[i - 1].name), STR_ARG(e[i].name));
        }
    }
    size_t first, twice;
    const sl_status status = name_index_build(&archive->index, e, sizeof *e, archive->entries.count,
                                              &first, &twice, error);
    if (status == SL_OK && twice != NAME_INDEX_NONE) {
        return error_set(error, SL_ERR_FORMAT, "the zip archive has \"%.*s\" twice",
                         STR_ARG(e[twice].name));
    }
    return status;
}

sl_status zip_open(const uint8_t *bytes, size_t size, zip_archive *archive, sl_error *error) {
    *archive = (zip_archive){.entries = array_new(sizeof(zip_entry), LIMIT_ZIP_ENTRIES)};
    const size_t end = find_end(bytes, size);
    if (end == SIZE_MAX) {
        return error_set(error, SL_ERR_FORMAT,
                         "the zip archive has no directory at its end: it was cut short, or "
                         "something follows it");
    }
    directory d;
    sl_status status = read_directory(bytes, end, &d, error);
    if (status == SL_OK) {
        status = read_entries(bytes, &d, archive, error);
    }
    if (status == SL_OK) {
        status = check_entries(bytes, archive, error);
    }
    if (status != SL_OK) {
        zip_close(archive);
    }
    return status;
}

void zip_close(zip_archive *archive) {
    array_free(&archive->entries);
    name_index_free(&archive->index);
    *archive = (zip_archive){0};
}

const zip_entry *zip_find(const zip_archive *archive, str name) {
    const size_t at =
        name_index_find(&archive->index, archive->entries.items, sizeof(zip_entry), name);
    return at == NAME_INDEX_NONE ? NULL : (const zip_entry *)archive->entries.items + at;
}
