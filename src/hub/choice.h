/* choice.h - which of a repository's files are a model.
 *
 * A GGUF model is a file, or all files of a set (NAME-00001-of-00003.gguf). It is called by its
 * quantization, as its name tells it: "Q4_K_M". A repository without GGUF is one model: the folder
 * of config.json, weights and vocabulary, without a name of its own.
 */
#ifndef HUB_CHOICE_H
#define HUB_CHOICE_H

#include "hub/listing.h"

typedef struct hub_choice {
    char label[LIMIT_HUB_PATH_BYTES + 1]; /* "Q4_K_M", a path where a name tells none, or "" */
    char *path;    /* of what a model is opened by, within the repository; "" for the folder */
    char *index;   /* the list of a folder's weights, which names them; NULL: there is none */
    size_t *files; /* numbers of the files in the listing; `index` is among them */
    size_t count;
} hub_choice;

void hub_choice_free(hub_choice *choice);

/* Chooses by what a person wrote behind the ':', "" for nothing: then Q4_K_M, Q4_0 or Q8_0, the
 * first of these that there is, or else the only model. What is ambiguous or not there is refused
 * with what there is. Weights that an index names are not among the files yet. */
SL_CHECK sl_status hub_choose(const hub_listing *listing, const char *quant, hub_choice *choice,
                              sl_error *error);

/* Adds the files that the index, which has this text, names. */
SL_CHECK sl_status hub_choose_indexed(const hub_listing *listing, const uint8_t *bytes, size_t size,
                                      hub_choice *choice, sl_error *error);

/* Whether what a person wrote behind the ':' means a model of this label and path: 2 exactly, 1 as
 * a part of its name, 0 not. Letters may be small or capital. */
int hub_choice_matches(const char *quant, const char *label, const char *path);

/* What is taken where nothing was written, best first; NULL behind the last. */
const char *hub_choice_preferred(size_t index);

/* What a file's name tells of its quantization; its whole path if nothing. */
void hub_choice_label(const char *path, char label[LIMIT_HUB_PATH_BYTES + 1]);

#endif
