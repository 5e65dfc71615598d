/* spm.h - SentencePiece's BPE ("llama"): a text's characters are merged into the pieces of the
 * highest score; a space is U+2581, and a character that is in no piece becomes its bytes. */
#ifndef TOKENIZER_SPM_H
#define TOKENIZER_SPM_H

#include "base/str.h"
#include "tokenizer/encoder.h"
#include "tokenizer/vocabulary.h"

#define SPM_PAGES (0x110000u / 256u)

/* Read-only once built. */
typedef struct spm {
    size_t vocabulary;
    /* The symbol of each character: pages of 256 code points, page 0 all MERGE_NONE. Symbols from
     * `vocabulary` on are characters that are no tokens but begin or end one. */
    uint16_t page_at[SPM_PAGES];
    uint32_t *pages;
    size_t page_count;
    uint32_t *odd_codes; /* the code points of symbols vocabulary + 0, 1, ... */
    size_t odd_count;
    int32_t bytes[256]; /* -1: no token */
    int32_t unknown;    /* -1: none */
    bool add_space;
    bool cut_spaces;     /* nothing merges across the beginning of a space */
    bool unknowns_apart; /* neighbours that are unknown stay several tokens */
    /* Which two characters some merge joins: between all others a word can be cut. Bits for
     * ASCII, else an open-addressing set of first << 32 | second. */
    uint64_t ascii_seams[128][2];
    uint64_t *seams; /* 0: empty */
    size_t seam_mask, seam_count;
    uint64_t seed;
} spm;

#define SPM_SPACE_MARK 0x2581u

/* U+2581 and the space that it stands for are one character to the merges. */
static inline uint32_t spm_canonical(uint32_t code) {
    return code == SPM_SPACE_MARK ? ' ' : code;
}

/* The symbol of a character, MERGE_NONE if it begins and ends no piece. */
static inline uint32_t spm_symbol(const spm *s, uint32_t code) {
    return s->pages[(size_t)s->page_at[code / 256] * 256 + code % 256];
}

/* Two characters, not both ASCII, as `seams` holds them. */
static inline uint64_t spm_seam_key(uint32_t first, uint32_t second) {
    return (uint64_t)first << 32 | second;
}

/* Where in `seams` the key is, or would be: 0 is there then. */
static inline uint64_t *spm_seam(const spm *s, uint64_t key) {
    size_t slot = merge_scramble(key + s->seed) & s->seam_mask;
    while (s->seams[slot] && s->seams[slot] != key) {
        slot = (slot + 1) & s->seam_mask;
    }
    return &s->seams[slot];
}

/* For spm_build: the merges of tokenizer.ggml.merges, in their order (spm_merges.c). */
SL_CHECK sl_status spm_add_merges(spm *s, merge_table *merges, const vocabulary *v,
                                  sl_error *error);

/* For the files that build one: asks for a place for the symbol of a character; makes all that were
 * asked for, MERGE_NONE; where a symbol is kept that was asked for; an empty set of seams, and a
 * seam, which is false if there is no memory for it. */
void spm_ask_page(spm *s, uint32_t code);
SL_CHECK sl_status spm_make_pages(spm *s, sl_error *error);
uint32_t *spm_symbol_place(spm *s, uint32_t code);
SL_CHECK sl_status spm_make_seams(spm *s, sl_error *error);
SL_CHECK bool spm_add_seam(spm *s, uint32_t first, uint32_t second);

/* The character, as merges see it, that ends before `end`, or begins at `at`, in well-formed
 * text. */
uint32_t spm_last_code(const char *end);
uint32_t spm_first_code(const char *at, const char *end);

/* A text with U+2581 for its spaces. `out` has room for SPM_MARK_BYTES for each of its bytes;
 * returns how much was written. */
enum { SPM_MARK_BYTES = 3 };
size_t spm_marks_from_spaces(str text, char *out);

/* Fills a zeroed *s and the merges from the vocabulary: by scores, or with
 * sluice.tokenizer.by_merges by the order of tokenizer.ggml.merges. SL_ERR_FORMAT if a byte has
 * neither a token nor an unknown token to stand for it. The caller frees both in any case. */
SL_CHECK sl_status spm_build(spm *s, merge_table *merges, const vocabulary *v, bool add_space,
                             sl_error *error);
void spm_free(spm *s);
size_t spm_bytes(const spm *s);

/* Appends the tokens of a text without special tokens, with a space put before if asked. */
SL_CHECK sl_status spm_encode(const spm *s, encoder *e, str text, bool space);

#endif
