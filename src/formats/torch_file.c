#include "formats/torch_file.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/size.h"
#include "formats/pickle.h"
#include "formats/zip_archive.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- what a pickle may name ----------------------------------------------------------------- */

typedef enum global_role {
    ROLE_DICTIONARY,
    ROLE_REBUILD,           /* storage, offset, sizes, strides, ... */
    ROLE_REBUILD_PARAMETER, /* tensor, ... */
    ROLE_STORAGE,
    ROLE_NOTHING, /* may be there in a state or a list that is not looked at */
} global_role;

static const pickle_global globals[] = {
    {"collections", "OrderedDict"},
    {"torch._utils", "_rebuild_tensor_v2"},
    {"torch._utils", "_rebuild_tensor"},
    {"torch._utils", "_rebuild_parameter"},
    {"torch", "FloatStorage"},
    {"torch", "HalfStorage"},
    {"torch", "BFloat16Storage"},
    {"torch", "DoubleStorage"},
    {"torch", "LongStorage"},
    {"torch", "IntStorage"},
    {"torch", "ShortStorage"},
    {"torch", "CharStorage"},
    {"torch", "ByteStorage"},
    {"torch", "BoolStorage"},
    {"torch", "Size"},
};

/* Of `globals`, number by number. */
static const struct {
    global_role role;
    raw_type type;
    uint8_t bytes; /* of an element */
    const char *type_name;
} facts[COUNT_OF(globals)] = {
    {ROLE_DICTIONARY, RAW_OTHER, 0, ""},     {ROLE_REBUILD, RAW_OTHER, 0, ""},
    {ROLE_REBUILD, RAW_OTHER, 0, ""},        {ROLE_REBUILD_PARAMETER, RAW_OTHER, 0, ""},
    {ROLE_STORAGE, RAW_F32, 4, "float32"},   {ROLE_STORAGE, RAW_F16, 2, "float16"},
    {ROLE_STORAGE, RAW_BF16, 2, "bfloat16"}, {ROLE_STORAGE, RAW_OTHER, 8, "float64"},
    {ROLE_STORAGE, RAW_OTHER, 8, "int64"},   {ROLE_STORAGE, RAW_OTHER, 4, "int32"},
    {ROLE_STORAGE, RAW_OTHER, 2, "int16"},   {ROLE_STORAGE, RAW_OTHER, 1, "int8"},
    {ROLE_STORAGE, RAW_OTHER, 1, "uint8"},   {ROLE_STORAGE, RAW_OTHER, 1, "bool"},
    {ROLE_NOTHING, RAW_OTHER, 0, ""},
};

/* ---- storages ------------------------------------------------------------------------------- */

typedef struct storage {
    str key; /* stays first: by_key reads it there */
    uint32_t global;
    uint64_t count; /* elements */
    const uint8_t *data;
} storage;

typedef struct torch_reader {
    const uint8_t *bytes;
    size_t size;
    pickle p;       /* the dictionary's */
    array storages; /* storage, by key, each once */
    raw_tensors *list;
    sl_error *error;
} torch_reader;

static int by_key(const void *left, const void *right) {
    const str a = *(const str *)left, b = *(const str *)right;
    const int order = memcmp(a.ptr, b.ptr, size_min(a.len, b.len));
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static storage *find_storage(const torch_reader *r, str key) {
    return r->storages.count == 0
               ? NULL
               : bsearch(&key, r->storages.items, r->storages.count, sizeof(storage), by_key);
}

static sl_status wrong(sl_error *error, const char *what) {
    return error_set(error, SL_ERR_FORMAT, "the pickle: %s", what);
}

/* ('storage', torch.FloatStorage, '0', 'cpu', 12), and in the old layout a None behind it. */
static sl_status read_storage(const torch_reader *r, const pickle_value *id, storage *s) {
    const pickle_value *tuple = pickle_at(&r->p, id->head), *item[6];
    const size_t count = tuple->kind == PICKLE_TUPLE ? pickle_items(&r->p, tuple, item, 6) : 0;
    if (count >= 1 && pickle_is_text(item[0], "module")) {
        return error_set(r->error, SL_ERR_UNSUPPORTED,
                         "the file holds a module with its program; expected a dictionary of "
                         "tensors");
    }
    if (count < 5 || count > 6 || !pickle_is_text(item[0], "storage") ||
        item[1]->kind != PICKLE_GLOBAL || facts[item[1]->integer].role != ROLE_STORAGE ||
        item[2]->kind != PICKLE_STRING || item[2]->text.len == 0 ||
        item[3]->kind != PICKLE_STRING || item[4]->kind != PICKLE_INT || item[4]->integer < 0) {
        return wrong(r->error, "a persistent id is expected to be of a storage: its type, key, "
                               "place and number of elements");
    }
    if (count == 6 && item[5]->kind != PICKLE_NONE) {
        return error_set(r->error, SL_ERR_UNSUPPORTED,
                         "storage \"%.*s\" is a view into another one, which is not supported",
                         STR_ARG(item[2]->text));
    }
    *s = (storage){.key = item[2]->text,
                   .global = (uint32_t)item[1]->integer,
                   .count = (uint64_t)item[4]->integer};
    return SL_OK;
}

static sl_status collect_storages(torch_reader *r) {
    for (size_t i = 0; i < r->p.values.count; i++) {
        const pickle_value *value = pickle_at(&r->p, (pickle_ref)i);
        storage s;
        sl_status status = SL_OK;
        if (value->kind == PICKLE_PERSISTENT) {
            status = read_storage(r, value, &s);
            status = status == SL_OK ? array_push(&r->storages, &s, r->error) : status;
        }
        if (status != SL_OK) {
            return status;
        }
    }
    storage *s = r->storages.items;
    if (r->storages.count > 0) {
        qsort(s, r->storages.count, sizeof *s, by_key);
    }
    size_t kept = 0;
    for (size_t i = 0; i < r->storages.count; i++) {
        if (kept == 0 || !str_equal(s[kept - 1].key, s[i].key)) {
            s[kept++] = s[i];
        } else if (s[kept - 1].global != s[i].global || s[kept - 1].count != s[i].count) {
            return error_set(r->error, SL_ERR_FORMAT,
                             "the pickle: storage \"%.*s\" is described in two ways",
                             STR_ARG(s[i].key));
        }
    }
    r->storages.count = kept;
    return SL_OK;
}

/* ---- tensors -------------------------------------------------------------------------------- */

/* A tuple of sizes or strides. */
static bool read_numbers(const pickle *p, const pickle_value *tuple, uint64_t *out, size_t *count) {
    const pickle_value *item[RAW_MAX_DIMS];
    *count = tuple->kind == PICKLE_TUPLE ? pickle_items(p, tuple, item, RAW_MAX_DIMS) : SIZE_MAX;
    for (size_t i = 0; i < *count && *count <= RAW_MAX_DIMS; i++) {
        if (item[i]->kind != PICKLE_INT || item[i]->integer < 0) {
            return false;
        }
        out[i] = (uint64_t)item[i]->integer;
    }
    return *count <= RAW_MAX_DIMS;
}

/* Elements from the first to the last one, and whether they lie one after the other, rows first,
 * or (two dimensions) columns first. False if that overflows. */
static bool read_layout(raw_tensor *t, const uint64_t *strides, uint64_t *span) {
    uint64_t next = 1;
    bool rows = true;
    *span = 1;
    for (size_t i = t->n_dims; i-- > 0;) {
        uint64_t reach;
        rows = rows && (t->dims[i] == 1 || strides[i] == next);
        if (t->dims[i] == 0) {
            *span = 0;
            return true;
        }
        if (!u64_mul(next, t->dims[i], &next) || !u64_mul(t->dims[i] - 1, strides[i], &reach) ||
            __builtin_add_overflow(*span, reach, span)) {
            return false;
        }
    }
    t->transposed = !rows && t->n_dims == 2 && strides[0] == 1 && strides[1] == t->dims[0];
    t->scattered = !rows && !t->transposed;
    return true;
}

static sl_status bad_tensor(const torch_reader *r, str name, const char *what) {
    return error_set(r->error, SL_ERR_FORMAT, "tensor \"%.*s\": %s", STR_ARG(name), what);
}

/* The arguments of _rebuild_tensor_v2: storage, storage_offset, size, stride, requires_grad,
 * backward_hooks and, where there is any, metadata. */
static sl_status add_tensor(torch_reader *r, str name, const pickle_value *arguments) {
    const pickle_value *item[7] = {NULL};
    uint64_t strides[RAW_MAX_DIMS], span, end;
    size_t n_strides;
    raw_tensor t = {.name = name};
    const size_t count = pickle_items(&r->p, arguments, item, 7);
    if (count < 4 || item[0]->kind != PICKLE_PERSISTENT || item[1]->kind != PICKLE_INT ||
        item[1]->integer < 0 || !read_numbers(&r->p, item[2], t.dims, &t.n_dims) ||
        !read_numbers(&r->p, item[3], strides, &n_strides) || n_strides != t.n_dims) {
        return bad_tensor(r, name,
                          "expected a storage, an offset, and as many sizes as strides, "
                          "at most 8");
    }
    if (count > 7 || (item[6] && (item[6]->kind != PICKLE_NONE && item[6]->count != 0))) {
        return bad_tensor(r, name,
                          "it has metadata (such as that of a negative or conjugate "
                          "view), which is not supported");
    }
    storage wanted;
    const sl_status status = read_storage(r, item[0], &wanted);
    if (status != SL_OK) {
        return status;
    }
    const storage *s = find_storage(r, wanted.key);
    const uint64_t offset = (uint64_t)item[1]->integer;
    if (!read_layout(&t, strides, &span) || __builtin_add_overflow(offset, span, &end) ||
        end > s->count) {
        return error_set(r->error, SL_ERR_FORMAT,
                         "tensor \"%.*s\" reaches past the %" PRIu64
                         " elements of its storage \"%.*s\"",
                         STR_ARG(name), s->count, STR_ARG(s->key));
    }
    t.type = facts[s->global].type;
    t.type_name = facts[s->global].type_name;
    if (!t.scattered) {
        t.data = s->data + offset * facts[s->global].bytes;
        t.bytes = (size_t)span * facts[s->global].bytes;
    }
    return raw_tensors_add(r->list, &t, r->error);
}

/* A tensor, or a parameter around one. */
static sl_status read_entry(torch_reader *r, const pickle_value *key, const pickle_value *value) {
    if (key->kind != PICKLE_STRING) {
        return wrong(r->error, "the dictionary's keys are expected to be strings");
    }
    for (int depth = 0; value->kind == PICKLE_CALL && depth < 2; depth++) {
        const pickle_value *arguments = pickle_at(&r->p, value->tail);
        if (facts[value->head].role == ROLE_REBUILD) {
            return add_tensor(r, key->text, arguments);
        }
        if (facts[value->head].role != ROLE_REBUILD_PARAMETER || arguments->count == 0) {
            break;
        }
        pickle_items(&r->p, arguments, &value, 1);
    }
    return bad_tensor(r, key->text,
                      "expected a tensor; a file of weights is a dictionary of "
                      "tensors and nothing else");
}

static sl_status read_dictionary(torch_reader *r) {
    const pickle_value *root = pickle_at(&r->p, r->p.root);
    if (root->kind != PICKLE_DICT &&
        (root->kind != PICKLE_CALL || facts[root->head].role != ROLE_DICTIONARY)) {
        return wrong(r->error, "expected a dictionary of tensors");
    }
    uint32_t cursor = 0;
    pickle_ref key, value;
    sl_status status = SL_OK;
    while (status == SL_OK && pickle_next(&r->p, root, &cursor, &key) &&
           pickle_next(&r->p, root, &cursor, &value)) {
        status = read_entry(r, pickle_at(&r->p, key), pickle_at(&r->p, value));
    }
    return status;
}

/* ---- zip archives --------------------------------------------------------------------------- */

/* PREFIX of the only entry PREFIX/data.pkl, the slash included. */
static sl_status find_prefix(const zip_archive *zip, str *prefix, sl_error *error) {
    static const char name[] = "/data.pkl";
    const size_t length = sizeof name - 1;
    *prefix = (str){NULL, 0};
    for (size_t i = 0; i < zip->entries.count; i++) {
        const str entry = ((const zip_entry *)zip->entries.items)[i].name;
        if (entry.len <= length || memcmp(entry.ptr + entry.len - length, name, length) != 0 ||
            memchr(entry.ptr, '/', entry.len - length)) {
            continue;
        }
        if (prefix->ptr) {
            return error_set(error, SL_ERR_FORMAT,
                             "the zip archive has several data.pkl, expected one");
        }
        *prefix = (str){entry.ptr, entry.len - length + 1};
    }
    if (!prefix->ptr) {
        return error_set(error, SL_ERR_FORMAT,
                         "the zip archive has no data.pkl: torch.save did not write it");
    }
    return SL_OK;
}

static const zip_entry *find_entry(const zip_archive *zip, str prefix, const char *folder,
                                   str name) {
    char path[1024];
    const size_t folder_bytes = strlen(folder);
    if (prefix.len + folder_bytes + name.len > sizeof path) {
        return NULL;
    }
    memcpy(path, prefix.ptr, prefix.len);
    memcpy(path + prefix.len, folder, folder_bytes);
    memcpy(path + prefix.len + folder_bytes, name.ptr, name.len);
    return zip_find(zip, (str){path, prefix.len + folder_bytes + name.len});
}

static sl_status place_zip_storages(torch_reader *r, const zip_archive *zip, str prefix) {
    storage *s = r->storages.items;
    for (size_t i = 0; i < r->storages.count; i++) {
        const zip_entry *entry = find_entry(zip, prefix, "data/", s[i].key);
        uint64_t bytes;
        if (!entry) {
            return error_set(r->error, SL_ERR_FORMAT,
                             "the zip archive has no data/%.*s, a storage that its data.pkl names",
                             STR_ARG(s[i].key));
        }
        if (!u64_mul(s[i].count, facts[s[i].global].bytes, &bytes) || bytes != entry->bytes) {
            return error_set(r->error, SL_ERR_FORMAT,
                             "storage data/%.*s has %zu bytes, expected %" PRIu64 " values of %s",
                             STR_ARG(s[i].key), entry->bytes, s[i].count,
                             facts[s[i].global].type_name);
        }
        s[i].data = entry->data;
    }
    return SL_OK;
}

static sl_status check_zip(const zip_archive *zip, str prefix, sl_error *error) {
    const zip_entry *order = find_entry(zip, prefix, "byteorder", (str){"", 0});
    if (order && !str_is((str){(const char *)order->data, order->bytes}, "little")) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "the file's byte order is expected to be little-endian");
    }
    if (find_entry(zip, prefix, "constants.pkl", (str){"", 0})) {
        return error_set(error, SL_ERR_UNSUPPORTED,
                         "the file is a TorchScript program; expected a dictionary of tensors");
    }
    return SL_OK;
}

static sl_status read_zip(torch_reader *r) {
    zip_archive zip;
    str prefix;
    size_t used;
    sl_status status = zip_open(r->bytes, r->size, &zip, r->error);
    if (status != SL_OK) {
        return status;
    }
    status = find_prefix(&zip, &prefix, r->error);
    if (status == SL_OK) {
        status = check_zip(&zip, prefix, r->error);
    }
    if (status == SL_OK) {
        const zip_entry *data = find_entry(&zip, prefix, "data.pkl", (str){"", 0});
        status = data ? pickle_parse(data->data, data->bytes, globals, COUNT_OF(globals), &r->p,
                                     &used, r->error)
                      : wrong(r->error, "its folder's name is too long");
    }
    if (status == SL_OK) {
        status = collect_storages(r);
    }
    if (status == SL_OK) {
        status = place_zip_storages(r, &zip, prefix);
    }
    zip_close(&zip);
    return status == SL_OK ? read_dictionary(r) : status;
}

/* ---- the layout before ---------------------------------------------------------------------- */

/* 0x1950a86a20f9469cfc6c as protocol 2 writes it. */
static const uint8_t magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

static bool is_old(const uint8_t *bytes, size_t size) {
    return size >= sizeof magic && memcmp(bytes, magic, sizeof magic) == 0;
}

static bool is_tar(const uint8_t *bytes, size_t size) {
    return size >= 262 && memcmp(bytes + 257, "ustar", 5) == 0;
}

static sl_status next_pickle(torch_reader *r, size_t *at, pickle *p) {
    size_t used;
    const sl_status status =
        pickle_parse(r->bytes + *at, r->size - *at, globals, COUNT_OF(globals), p, &used, r->error);
    *at += status == SL_OK ? used : 0;
    return status;
}

/* {'protocol_version': 1001, 'little_endian': True, 'type_sizes': {...}} */
static bool is_little_endian(const pickle *p) {
    const pickle_value *root = pickle_at(p, p->root);
    uint32_t cursor = 0;
    pickle_ref key, value;
    while (root->kind == PICKLE_DICT && pickle_next(p, root, &cursor, &key) &&
           pickle_next(p, root, &cursor, &value)) {
        if (pickle_is_text(pickle_at(p, key), "little_endian")) {
            return pickle_at(p, value)->kind == PICKLE_BOOL && pickle_at(p, value)->integer;
        }
    }
    return false;
}

/* The protocol's number and the facts of the system. */
static sl_status read_preamble(torch_reader *r, size_t *at) {
    pickle p;
    sl_status status = next_pickle(r, at, &p);
    if (status != SL_OK) {
        return status;
    }
    const pickle_value *version = pickle_at(&p, p.root);
    const bool known = version->kind == PICKLE_INT && version->integer == 1001;
    pickle_free(&p);
    if (!known) {
        return error_set(r->error, SL_ERR_UNSUPPORTED,
                         "the torch file's protocol is expected to be 1001");
    }
    status = next_pickle(r, at, &p);
    if (status != SL_OK) {
        return status;
    }
    const bool little = is_little_endian(&p);
    pickle_free(&p);
    return little ? SL_OK
                  : error_set(r->error, SL_ERR_UNSUPPORTED,
                              "the file's byte order is expected to be little-endian");
}

/* One storage's count and values at *at. */
static sl_status place_old_storage(torch_reader *r, const pickle_value *key, size_t *at) {
    storage *s = key->kind == PICKLE_STRING ? find_storage(r, key->text) : NULL;
    if (!s || s->data) {
        return wrong(r->error, "its list of storages has one that no tensor needs, or has one "
                               "twice");
    }
    const size_t left = r->size - *at, element = facts[s->global].bytes;
    const uint64_t count = left >= 8 ? bytes_number(r->bytes + *at, 8) : 0;
    uint64_t bytes;
    if (left < 8 || count != s->count || !u64_mul(count, element, &bytes) || bytes > left - 8) {
        return error_set(r->error, SL_ERR_FORMAT,
                         "byte %zu: storage \"%.*s\" is said to have %" PRIu64
                         " values, expected %" PRIu64 ", and all of them inside the file",
                         *at, STR_ARG(s->key), count, s->count);
    }
    s->data = r->bytes + *at + 8;
    *at += 8 + (size_t)bytes;
    return SL_OK;
}

static sl_status place_old_storages(torch_reader *r, size_t at) {
    pickle keys;
    sl_status status = next_pickle(r, &at, &keys);
    if (status != SL_OK) {
        return status;
    }
    const pickle_value *root = pickle_at(&keys, keys.root);
    uint32_t cursor = 0;
    pickle_ref key;
    if (root->kind != PICKLE_LIST || root->count != r->storages.count) {
        status = wrong(r->error, "expected a list of as many storages as the tensors have");
    }
    while (status == SL_OK && pickle_next(&keys, root, &cursor, &key)) {
        status = place_old_storage(r, pickle_at(&keys, key), &at);
    }
    if (status == SL_OK && at != r->size) {
        status =
            error_set(r->error, SL_ERR_FORMAT, "byte %zu: something follows the last storage", at);
    }
    pickle_free(&keys);
    return status;
}

static sl_status read_old(torch_reader *r) {
    size_t at = sizeof magic;
    sl_status status = read_preamble(r, &at);
    if (status == SL_OK) {
        status = next_pickle(r, &at, &r->p);
    }
    if (status == SL_OK) {
        status = collect_storages(r);
    }
    if (status == SL_OK) {
        status = place_old_storages(r, at);
    }
    return status == SL_OK ? read_dictionary(r) : status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

bool torch_file_detect(const uint8_t *bytes, size_t size) {
    return zip_detect(bytes, size) || is_old(bytes, size) || is_tar(bytes, size);
}

sl_status torch_file_parse(const uint8_t *bytes, size_t size, raw_tensors *list, sl_error *error) {
    torch_reader r = {
        .bytes = bytes,
        .size = size,
        .storages = array_new(sizeof(storage), LIMIT_PICKLE_VALUES),
        .list = list,
        .error = error,
    };
    sl_status status;
    if (zip_detect(bytes, size)) {
        status = read_zip(&r);
    } else if (is_old(bytes, size)) {
        status = read_old(&r);
    } else if (is_tar(bytes, size)) {
        status = error_set(error, SL_ERR_UNSUPPORTED,
                           "this is torch.save's tar layout of before 2017, which is not "
                           "supported; saving it anew with any later PyTorch helps");
    } else {
        status = error_set(error, SL_ERR_FORMAT, "torch.save did not write this file");
    }
    pickle_free(&r.p);
    array_free(&r.storages);
    return status;
}
