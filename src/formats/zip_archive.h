/* zip_archive.h - the entries of a zip archive whose bytes are stored, used where they lie.
 * Source of the layout: PKWARE's APPNOTE.TXT 6.3.
 */
#ifndef FORMATS_ZIP_ARCHIVE_H
#define FORMATS_ZIP_ARCHIVE_H

#include "base/array.h"
#include "base/str.h"
#include "formats/name_index.h"

#include <stdint.h>

typedef struct zip_entry {
    str name; /* stays first: name_index reads it there. Points into the archive */
    const uint8_t *data;
    size_t bytes;
    size_t begin; /* of its local header in the archive */
} zip_entry;

typedef struct zip_archive {
    array entries; /* zip_entry, in the order of their bytes */
    name_index index;
} zip_archive;

/* Whether the bytes begin with an entry's header. */
bool zip_detect(const uint8_t *bytes, size_t size);

/* Reads the central directory, also a 64-bit one, and checks each entry against its local header.
 * Refused: truncation, archives of several disks, encrypted or compressed entries, entries that
 * overlap each other or the directory, names that are there twice, are absolute, leave the archive
 * by "..", or differ between the two headers. Checksums are not looked at: the bytes may be many
 * GiB. On failure *archive is zeroed. */
SL_CHECK sl_status zip_open(const uint8_t *bytes, size_t size, zip_archive *archive,
                            sl_error *error);
void zip_close(zip_archive *archive);

/* NULL if there is none of that name. */
const zip_entry *zip_find(const zip_archive *archive, str name);

#endif
