#include "hub/listing.h"

#include "base/error.h"
#include "formats/json_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

hub_listing hub_listing_new(void) {
    return (hub_listing){array_new(sizeof(hub_file), LIMIT_HUB_FILES)};
}

void hub_listing_free(hub_listing *listing) {
    for (size_t i = 0; i < listing->files.count; i++) {
        free(hub_listing_at(listing, i)->path);
    }
    array_free(&listing->files);
}

sl_status hub_listing_add(hub_listing *listing, str path, uint64_t size, const char *sha256,
                          sl_error *error) {
    if (!hub_path_is_good(path)) {
        return error_set(error, SL_ERR_FORMAT,
                         "the list of files has the path \"%.*s\", which cannot be kept: expected "
                         "a relative one of at most %u bytes",
                         STR_ARG(path), LIMIT_HUB_PATH_BYTES);
    }
    if (size > LIMIT_HUB_FILE_BYTES) {
        return error_set(error, SL_ERR_FORMAT, "%.*s: has %llu bytes, expected at most %llu",
                         STR_ARG(path), (unsigned long long)size, LIMIT_HUB_FILE_BYTES);
    }
    if (listing->files.count >= LIMIT_HUB_FILES) {
        return error_set(error, SL_ERR_FORMAT, "the list of files has more than %u",
                         LIMIT_HUB_FILES);
    }
    hub_file file = {.path = strndup(path.ptr, path.len), .size = size};
    snprintf(file.sha256, sizeof file.sha256, "%s", sha256 ? sha256 : "");
    if (!file.path) {
        return error_memory(error, "a path", path.len);
    }
    const sl_status status = array_push(&listing->files, &file, error);
    if (status != SL_OK) {
        free(file.path);
    }
    return status;
}

/* A size that is not negative. */
static bool read_size(const json_t *value, uint64_t *size) {
    *size = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static sl_status add_entry(hub_listing *listing, const json_t *entry, size_t index,
                           sl_error *error) {
    const str type = json_text_string(json_object_get(entry, "type"));
    const str path = json_text_string(json_object_get(entry, "path"));
    const json_t *const lfs = json_object_get(entry, "lfs");
    uint64_t size;
    if (str_is(type, "directory")) {
        return SL_OK;
    }
    if (!str_is(type, "file") || !path.ptr) {
        return error_set(error, SL_ERR_FORMAT,
                         "the list of files, entry %zu: expected a \"path\" and a \"type\" that is "
                         "\"file\" or \"directory\"",
                         index);
    }
    const bool stored = json_is_object(lfs);
    if (!read_size(json_object_get(stored ? lfs : entry, "size"), &size)) {
        return error_set(error, SL_ERR_FORMAT,
                         "the list of files, \"%.*s\": expected a \"size\" of 0 or more bytes",
                         STR_ARG(path));
    }
    const str sum = json_text_string(json_object_get(lfs, "oid"));
    if (stored && !hub_sha256_is_good(sum)) {
        return error_set(error, SL_ERR_FORMAT,
                         "the list of files, \"%.*s\": expected a sha256, found \"%.*s\"",
                         STR_ARG(path), STR_ARG(sum));
    }
    return hub_listing_add(listing, path, size, stored ? sum.ptr : NULL, error);
}

sl_status hub_listing_add_page(hub_listing *listing, const uint8_t *bytes, size_t size,
                               sl_error *error) {
    json_t *page;
    sl_status status = json_text_parse(bytes, size, "the list of files", &page, error);
    if (status != SL_OK) {
        return status;
    }
    if (!json_is_array(page)) {
        status = error_set(error, SL_ERR_FORMAT, "the list of files: expected a JSON array");
    }
    for (size_t i = 0; i < json_array_size(page) && status == SL_OK; i++) {
        status = add_entry(listing, json_array_get(page, i), i, error);
    }
    json_decref(page);
    return status;
}

static int by_path(const void *left, const void *right) {
    return strcmp(((const hub_file *)left)->path, ((const hub_file *)right)->path);
}

sl_status hub_listing_sort(hub_listing *listing, sl_error *error) {
    if (listing->files.count > 1) {
        qsort(listing->files.items, listing->files.count, sizeof(hub_file), by_path);
    }
    for (size_t i = 1; i < listing->files.count; i++) {
        if (by_path(hub_listing_at(listing, i - 1), hub_listing_at(listing, i)) == 0) {
            return error_set(error, SL_ERR_FORMAT, "the list of files has \"%.200s\" twice",
                             hub_listing_at(listing, i)->path);
        }
    }
    return SL_OK;
}

size_t hub_listing_find(const hub_listing *listing, const char *path) {
    const hub_file key = {.path = (char *)(uintptr_t)path};
    const hub_file *const found =
        listing->files.count
            ? bsearch(&key, listing->files.items, listing->files.count, sizeof(hub_file), by_path)
            : NULL;
    return found ? (size_t)(found - (const hub_file *)listing->files.items) : SIZE_MAX;
}
