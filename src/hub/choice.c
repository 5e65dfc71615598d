#include "hub/choice.h"

#include "base/error.h"
#include "base/size.h"
#include "formats/json_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const preferred[] = {"Q4_K_M", "Q4_0", "Q8_0", NULL};

const char *hub_choice_preferred(size_t index) {
    return preferred[index < COUNT_OF(preferred) ? index : COUNT_OF(preferred) - 1];
}

/* ---- what names tell ------------------------------------------------------------------------ */

static char upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c) {
    return is_digit(c) || (upper(c) >= 'A' && upper(c) <= 'Z');
}

static bool same_letters(str a, str b) {
    bool same = a.len == b.len;
    for (size_t i = 0; same && i < a.len; i++) {
        same = upper(a.ptr[i]) == upper(b.ptr[i]);
    }
    return same;
}

/* Where `part` begins within `text`, letters of any size; SIZE_MAX if nowhere from `from` on. */
static size_t find_letters(str text, str part, size_t from) {
    for (size_t at = from; part.len <= text.len && at <= text.len - part.len; at++) {
        if (same_letters((str){text.ptr + at, part.len}, part)) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* The name behind the last '/', and the folder's name before it, which may be empty. */
static void split_path(str path, str *name, str *folder) {
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '/') {
        at--;
    }
    *name = (str){path.ptr + at, path.len - at};
    size_t begin = at > 0 ? at - 1 : 0;
    while (begin > 0 && path.ptr[begin - 1] != '/') {
        begin--;
    }
    *folder = (str){path.ptr + begin, at > 0 ? at - 1 - begin : 0};
}

/* If the name is that of a file of a set, its number and their count; false else. */
static bool read_set(str path, size_t *number, size_t *count, size_t *stem) {
    enum { DIGITS = 5, LENGTH = 20 }; /* "-00001-of-00003.gguf" */
    if (path.len <= LENGTH) {
        return false;
    }
    const char *const end = path.ptr + path.len - LENGTH;
    bool good = end[0] == '-' && memcmp(end + 1 + DIGITS, "-of-", 4) == 0;
    *number = *count = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        good = good && is_digit(end[1 + i]) && is_digit(end[10 + i]);
        *number = 10 * *number + (size_t)(end[1 + i] - '0');
        *count = 10 * *count + (size_t)(end[10 + i] - '0');
    }
    *stem = path.len - LENGTH;
    return good && *number >= 1 && *number <= *count;
}

/* The usual names of quantizations: Q4_0, IQ2_XXS, TQ1_0, MXFP4, BF16. */
static bool is_quantization(str text) {
    static const char *const words[] = {"F16", "BF16", "F32", "FP16", "FP32", "F64"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (same_letters(text, str_from(words[i]))) {
            return true;
        }
    }
    size_t at = 0;
    const str rest = {text.ptr, text.len < 4 ? 0 : 5};
    if (text.len >= 5 && same_letters(rest, (str){"MXFP4", 5})) {
        at = 5;
    } else {
        at += text.len > 0 && (upper(text.ptr[0]) == 'I' || upper(text.ptr[0]) == 'T');
        if (text.len < at + 2 || upper(text.ptr[at]) != 'Q' || !is_digit(text.ptr[at + 1])) {
            return false;
        }
        at += 2;
    }
    for (; at < text.len; at++) {
        if (!is_alphanumeric(text.ptr[at]) && text.ptr[at] != '_') {
            return false;
        }
    }
    return text.ptr[text.len - 1] != '_';
}

/* The last quantization in a name: the longest text that begins behind a mark and ends before one.
 */
static str find_quantization(str name) {
    size_t end = name.len;
    while (end > 0) {
        size_t begin = end;
        while (begin > 0 && (is_alphanumeric(name.ptr[begin - 1]) || name.ptr[begin - 1] == '_')) {
            begin--;
        }
        for (size_t at = begin; at < end; at++) {
            const str word = {name.ptr + at, end - at};
            if ((at == begin || name.ptr[at - 1] == '_') && is_quantization(word)) {
                return word;
            }
        }
        end = begin > 0 ? begin - 1 : 0;
    }
    return (str){NULL, 0};
}

void hub_choice_label(const char *path, char label[LIMIT_HUB_PATH_BYTES + 1]) {
    str whole = str_from(path), name, folder;
    size_t number, count, stem;
    if (read_set(whole, &number, &count, &stem)) {
        whole.len = stem;
    } else if (str_ends_with(whole, ".gguf")) {
        whole.len -= strlen(".gguf");
    }
    split_path(whole, &name, &folder);
    str found = find_quantization(name);
    if (!found.len) {
        found = find_quantization(folder);
    }
    if (!found.len) {
        found = str_from(path);
    } else if (found.ptr - name.ptr >= 3 && found.ptr <= name.ptr + name.len &&
               memcmp(found.ptr - 3, "UD-", 3) == 0) {
        found = (str){found.ptr - 3, found.len + 3}; /* another mix under the same name */
    }
    snprintf(label, LIMIT_HUB_PATH_BYTES + 1, "%.*s", (int)found.len, found.ptr);
}

/* Whether `part` is in `text`, with no letter or digit at either side, nor a '_', which joins the
 * parts of a quantization; but before a whole one it ends another word. */
static bool has_word(str text, str part) {
    for (size_t at = find_letters(text, part, 0); at != SIZE_MAX;
         at = find_letters(text, part, at + 1)) {
        const size_t end = at + part.len;
        const char before = at > 0 ? text.ptr[at - 1] : '.';
        if (!is_alphanumeric(before) && (before != '_' || is_quantization(part)) &&
            (end == text.len || (!is_alphanumeric(text.ptr[end]) && text.ptr[end] != '_'))) {
            return true;
        }
    }
    return false;
}

int hub_choice_matches(const char *quant, const char *label, const char *path) {
    const str wanted = str_from(quant);
    str name, folder;
    if (strcmp(quant, path) == 0 || same_letters(wanted, str_from(label))) {
        return 2;
    }
    split_path(str_from(path), &name, &folder);
    return has_word(name, wanted) || has_word(folder, wanted) ? 1 : 0;
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

/* Whether the file is a model, or the first of a set: projectors of images and importance matrices
 * have their names from their writers. Of a set whose first file is missing, the first that is
 * there stands for it. */
static bool is_model(const hub_listing *listing, size_t index) {
    static const char *const others[] = {"mmproj", "imatrix"};
    const str path = str_from(hub_listing_at(listing, index)->path);
    str name, folder;
    size_t number, count, stem;
    split_path(path, &name, &folder);
    if (path.len <= 5 || !str_ends_with(path, ".gguf")) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (find_letters(name, str_from(others[i]), 0) != SIZE_MAX) {
            return false;
        }
    }
    if (!read_set(path, &number, &count, &stem)) {
        return true;
    }
    for (size_t before = 1; before < number; before++) {
        char other[LIMIT_HUB_PATH_BYTES + 1];
        snprintf(other, sizeof other, "%.*s-%05zu-of-%05zu.gguf", (int)stem, path.ptr, before,
                 count);
        if (hub_listing_find(listing, other) != SIZE_MAX) {
            return false;
        }
    }
    return true;
}

/* "there are Q2_K, Q3_K_M, Q4_0", as many as a line holds. */
static void list_models(const hub_listing *listing, const char *quant, char *out, size_t size) {
    char label[LIMIT_HUB_PATH_BYTES + 1];
    size_t length = 0, left = 0;
    out[0] = 0;
    for (size_t i = 0; i < listing->files.count; i++) {
        const char *const path = hub_listing_at(listing, i)->path;
        if (!is_model(listing, i)) {
            continue;
        }
        hub_choice_label(path, label);
        /* Of several that match, only the path says which. */
        const char *const shown = quant[0] && hub_choice_matches(quant, label, path) ? path : label;
        if (length + strlen(shown) + 24 > size) {
            left++;
        } else {
            length +=
                (size_t)snprintf(out + length, size - length, "%s%s", length ? ", " : "", shown);
        }
    }
    if (left > 0) {
        snprintf(out + length, size - length, " and %zu more", left);
    }
}

/* Appends a file that is there. */
static sl_status add_file(hub_choice *choice, size_t index, sl_error *error) {
    size_t *const files = realloc(choice->files, (choice->count + 1) * sizeof *files);
    if (!files) {
        return error_memory(error, "a list of files", choice->count);
    }
    choice->files = files;
    files[choice->count++] = index;
    return SL_OK;
}

/* The model that file `index` begins. */
static sl_status take_model(const hub_listing *listing, size_t index, hub_choice *choice,
                            sl_error *error) {
    const str path = str_from(hub_listing_at(listing, index)->path);
    size_t number, count, stem;
    hub_choice_label(path.ptr, choice->label);
    choice->path = strdup(path.ptr);
    if (!choice->path) {
        return error_memory(error, "a path", path.len);
    }
    if (!read_set(path, &number, &count, &stem)) {
        return add_file(choice, index, error);
    }
    if (count > LIMIT_MODEL_FILES) {
        return error_set(error, SL_ERR_FORMAT, "%s: is of a set of %zu files, expected at most %u",
                         path.ptr, count, LIMIT_MODEL_FILES);
    }
    sl_status status = SL_OK;
    for (size_t i = 1; i <= count && status == SL_OK; i++) {
        char name[LIMIT_HUB_PATH_BYTES + 1];
        snprintf(name, sizeof name, "%.*s-%05zu-of-%05zu.gguf", (int)stem, path.ptr, i, count);
        const size_t found = hub_listing_find(listing, name);
        status = found != SIZE_MAX
                     ? add_file(choice, found, error)
                     : error_set(error, SL_ERR_FILE,
                                 "%.200s is not in the repository: file %zu of the %zu of a model",
                                 name, i, count);
    }
    return status;
}

/* The best match for `quant`; *count says how many there are that are as good. */
static size_t best_match(const hub_listing *listing, const char *quant, size_t *count) {
    char label[LIMIT_HUB_PATH_BYTES + 1];
    int best = 1;
    size_t found = SIZE_MAX;
    *count = 0;
    for (size_t i = 0; i < listing->files.count; i++) {
        if (!is_model(listing, i)) {
            continue;
        }
        const char *const path = hub_listing_at(listing, i)->path;
        hub_choice_label(path, label);
        const int match = hub_choice_matches(quant, label, path);
        if (match > best || (match == best && *count == 0)) {
            best = match;
            found = i;
            *count = 1;
        } else if (match == best) {
            ++*count;
        }
    }
    return found;
}

static sl_status choose_gguf(const hub_listing *listing, const char *quant, size_t models,
                             size_t only, hub_choice *choice, sl_error *error) {
    size_t count = 0, found = SIZE_MAX;
    char there[300];
    if (quant[0]) {
        found = best_match(listing, quant, &count);
    } else {
        for (size_t i = 0; preferred[i] && count != 1; i++) {
            found = best_match(listing, preferred[i], &count);
        }
        if (count != 1 && models == 1) {
            found = only;
            count = 1;
        }
    }
    if (count == 1) {
        return take_model(listing, found, choice, error);
    }
    list_models(listing, quant, there, sizeof there);
    return error_set(error, SL_ERR_ARGUMENT, "%s%s%s; there %s %s",
                     quant[0] ? "the repository has " : "which model is wanted must be said",
                     quant[0] && count > 1 ? "several models for "
                     : quant[0]            ? "no model "
                                           : "",
                     quant, models == 1 ? "is" : "are", there);
}

/* ---- folders -------------------------------------------------------------------------------- */

static const char *const beside[] = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
};

/* In the order in which a folder's weights are looked for. */
static const struct {
    const char *path;
    bool is_index;
} weights[] = {
    {"model.safetensors", false},
    {"model.safetensors.index.json", true},
    {"pytorch_model.bin", false},
    {"pytorch_model.bin.index.json", true},
};

static sl_status choose_folder(const hub_listing *listing, const char *quant, hub_choice *choice,
                               sl_error *error) {
    if (hub_listing_find(listing, "config.json") == SIZE_MAX) {
        return error_set(error, SL_ERR_FILE,
                         "the repository has no model: neither GGUF files nor a config.json");
    }
    if (quant[0]) {
        return error_set(error, SL_ERR_ARGUMENT,
                         "the repository has no GGUF files, of which ':%s' could be one; without "
                         "it the folder is fetched as it is",
                         quant);
    }
    size_t kind = 0, found = SIZE_MAX;
    for (; kind < COUNT_OF(weights) && found == SIZE_MAX; kind++) {
        found = hub_listing_find(listing, weights[kind].path);
    }
    if (found == SIZE_MAX) {
        return error_set(error, SL_ERR_FILE,
                         "the repository has a config.json but no weights: neither GGUF files nor "
                         "%s, %s or the indexes of these",
                         weights[0].path, weights[2].path);
    }
    choice->path = strdup("");
    choice->index = weights[kind - 1].is_index ? strdup(weights[kind - 1].path) : NULL;
    if (!choice->path || (weights[kind - 1].is_index && !choice->index)) {
        return error_memory(error, "a path", 0);
    }
    sl_status status = SL_OK;
    for (size_t i = 0; i < COUNT_OF(beside) && status == SL_OK; i++) {
        const size_t file = hub_listing_find(listing, beside[i]);
        status = file == SIZE_MAX ? SL_OK : add_file(choice, file, error);
    }
    return status == SL_OK ? add_file(choice, found, error) : status;
}

static bool has_file(const hub_choice *choice, size_t index) {
    for (size_t i = 0; i < choice->count; i++) {
        if (choice->files[i] == index) {
            return true;
        }
    }
    return false;
}

sl_status hub_choose_indexed(const hub_listing *listing, const uint8_t *bytes, size_t size,
                             hub_choice *choice, sl_error *error) {
    json_t *root;
    sl_status status = json_text_parse(bytes, size, choice->index, &root, error);
    if (status != SL_OK) {
        return status;
    }
    json_t *const map = json_object_get(root, "weight_map");
    const size_t before = choice->count;
    const char *tensor;
    json_t *value;
    if (json_object_size(map) == 0) {
        status =
            error_set(error, SL_ERR_FORMAT, "%s: expected an object \"weight_map\"", choice->index);
    }
    json_object_foreach(map, tensor, value) {
        const char *const name = json_string_value(value);
        const size_t found = name ? hub_listing_find(listing, name) : SIZE_MAX;
        if (status != SL_OK || (found != SIZE_MAX && has_file(choice, found))) {
            continue;
        }
        if (found == SIZE_MAX) {
            status = error_set(error, SL_ERR_FILE,
                               "%s has tensor \"%.200s\" in \"%.100s\", which is not in the "
                               "repository",
                               choice->index, tensor, name ? name : "");
        } else if (choice->count - before >= LIMIT_MODEL_FILES) {
            status = error_set(error, SL_ERR_FORMAT, "%s: more than %u files", choice->index,
                               LIMIT_MODEL_FILES);
        } else {
            status = add_file(choice, found, error);
        }
    }
    json_decref(root);
    return status;
}

/* ---- the choice ----------------------------------------------------------------------------- */

void hub_choice_free(hub_choice *choice) {
    free(choice->path);
    free(choice->index);
    free(choice->files);
    *choice = (hub_choice){.path = NULL};
}

sl_status hub_choose(const hub_listing *listing, const char *quant, hub_choice *choice,
                     sl_error *error) {
    size_t models = 0, only = 0;
    *choice = (hub_choice){.path = NULL};
    for (size_t i = 0; i < listing->files.count; i++) {
        if (is_model(listing, i)) {
            only = i;
            models++;
        }
    }
    const sl_status status = models > 0 ? choose_gguf(listing, quant, models, only, choice, error)
                                        : choose_folder(listing, quant, choice, error);
    if (status != SL_OK) {
        hub_choice_free(choice);
    }
    return status;
}
