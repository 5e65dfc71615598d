/* sluice.h - the public interface of libsluice, a language-model engine.
 *
 *   sl_model     an opened model: weights, tokenizer, hyper-parameters. Read-only once loaded;
 *                any number of threads and sessions may use one at the same time.
 *   sl_session   one sequence being computed with a model: its keys and values, its threads, which
 *                it may share with others, its group. A group is private to one thread at a time.
 *   sl_decoder   tokens to text, character by character. Private to one thread at a time.
 *   sl_sampler   a chain that picks the next token from logits. Private to one thread at a time.
 *   sl_lookup    drafts the next tokens from what came before in the same text. Private to one
 *                thread at a time.
 *   sl_importance  sums up what a session's matrices meet. Private to the session's thread.
 *   sl_reference   what a model said of a text, saved in a file. Read-only.
 *   sl_file      a model file opened for inspection only: metadata and tensor table, no weights
 *                read.
 *   sl_conversion  a model on its way into GGUF files. Private to one thread at a time.
 *
 * Conventions. Every function that can fail returns an sl_status and takes an sl_error (may be
 * NULL) into which it writes one line for a person. On failure the caller holds nothing new: each
 * out-parameter is NULL or unchanged. Strings are UTF-8. Sizes are bytes. Tokens are int32_t.
 * Unless a comment says otherwise a function may be called from any thread, but not on the same
 * object from two threads at once. The library never prints, never exits, and installs no signal
 * handler unless sl_guard_mappings() is called.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SL_API __attribute__((visibility("default")))
#define SL_CHECK __attribute__((warn_unused_result))
#define SL_PRINTF(format_index, first_argument)                                                    \
    __attribute__((format(printf, format_index, first_argument)))
#else
#define SL_API
#define SL_CHECK
#define SL_PRINTF(format_index, first_argument)
#endif

/* ---- status and errors ---------------------------------------------------------------------- */

typedef enum sl_status {
    SL_OK = 0,
    SL_ERR_ARGUMENT,    /* the caller asked for something impossible or malformed */
    SL_ERR_FILE,        /* a file is missing or cannot be read or written */
    SL_ERR_FORMAT,      /* a file's content is wrong */
    SL_ERR_UNSUPPORTED, /* a file is well-formed, but names what this version does not know */
    SL_ERR_MEMORY,      /* out of memory, or over the memory budget */
    SL_ERR_RUNTIME,     /* failed while computing (file changed underneath, not-a-number logits) */
    SL_ERR_CANCELLED,   /* the caller's callback asked to stop */
} sl_status;

typedef struct sl_error {
    sl_status status;
    char message[512]; /* one line, no newline at the end */
} sl_error;

/* "1.2.3". Static storage. */
SL_API const char *sl_version(void);

/* ---- callbacks ------------------------------------------------------------------------------ */

/* Called now and then during anything that takes long, from the calling thread. `what` is a short
 * word ("loading"); done and total are bytes, tokens, or steps of measuring. Return false to
 * cancel: the function ends with SL_ERR_CANCELLED. */
typedef bool (*sl_progress_fn)(void *user, const char *what, uint64_t done, uint64_t total);

/* Notes for a person: fallbacks taken, slow paths, what was left out. One line, no newline. */
typedef void (*sl_notice_fn)(void *user, const char *line);

/* ---- models --------------------------------------------------------------------------------- */

typedef struct sl_model sl_model;

typedef struct sl_model_options {
    uint64_t memory_budget; /* bytes for weights, KV, buffers together; 0: what is available */
    uint64_t reserved;      /* bytes of the budget that the caller uses itself, as for texts */
    bool vocabulary_only;   /* load the tokenizer only; the file may hold no tensors */
    bool no_populate;       /* leave weights on the disk until they are used, as they are there */
    bool no_rearrange;      /* leave weights in the file's order; else they are rearranged in the
                                background where that is faster and the budget has room (if it has
                                not, notice says so); no_populate means it too */
    const char *tokenizer; /* a tokenizer's file, in place of the model's own; NULL: the model's, or
                                else a tokenizer.bin beside it, or none */
    sl_progress_fn progress; /* may be NULL */
    sl_notice_fn notice;     /* may be NULL */
    void *user;              /* handed to both */
} sl_model_options;

/* All zero. So are the defaults of all options below that say no others. */
SL_API void sl_model_options_init(sl_model_options *options);

/* Maps and checks the model at `path`: GGUF (of a model in several files any one), a Hugging Face
 * folder or the file of weights in it, a file of ggml's first formats, or a checkpoint of llama2.c.
 * A model over the memory budget is not loaded yet, but by its first session; it is refused, with
 * the number, where not even that can be. options may be NULL; its texts are not needed afterwards.
 * The model keeps the files mapped until sl_model_free; one that is cut short meanwhile raises
 * SIGBUS unless sl_guard_mappings() ran. On success *model is the caller's, for sl_model_free. */
SL_API SL_CHECK sl_status sl_model_load(const char *path, const sl_model_options *options,
                                        sl_model **model, sl_error *error);

/* Makes up a model in memory, to learn how fast one of that shape is: `shape` is a name of
 * sl_shape_at, `type` one of sl_synthetic_type_at. Every weight is random, from the seed alone, and
 * memory of its own; there is no tokenizer, and functions on text refuse. A shape that is over the
 * memory budget is refused with both numbers and the largest type that would fit. options may be
 * NULL. On success *model is the caller's. */
SL_API SL_CHECK sl_status sl_model_synthesize(const char *shape, const char *type, uint64_t seed,
                                              const sl_model_options *options, sl_model **model,
                                              sl_error *error);

/* Names of shapes ("llama-7b") and of types ("q4_0"); NULL behind the last. Static storage. */
SL_API const char *sl_shape_at(size_t index);
SL_API const char *sl_synthetic_type_at(size_t index);

/* Every session of the model must be freed before. NULL is allowed. */
SL_API void sl_model_free(sl_model *model);

typedef struct sl_model_info {
    const char *architecture; /* "llama"; owned by the model */
    const char *name;         /* general.name or "" */
    const char *type;         /* weight type that holds most bytes, e.g. "Q8_0" */
    uint64_t parameter_count;
    uint64_t weight_bytes;     /* all weights as they lie in the file */
    uint64_t bytes_per_token;  /* weight bytes read to decode one token */
    uint64_t streamed_bytes;   /* of them, those read from the file for each pass over the model */
    uint64_t rearranged_bytes; /* weights that lie in an order made for this processor by now */
    uint64_t layer_weights;    /* weights of matrices that each token of a prompt meets */
    uint64_t output_weights;   /* those of the output matrix, met where logits are wanted */
    size_t n_ctx_train;        /* context length the model was trained for */
    size_t n_vocab;
    size_t n_layer;
    size_t n_embd;
    double load_seconds; /* with what a session had loaded */
} sl_model_info;

SL_API void sl_model_get_info(const sl_model *model, sl_model_info *info);

/* Waits until the weights that are rearranged in the background are done; returns at once where
 * none are. Results do not depend on it, but speed does until then. Any number of threads may wait,
 * and compute meanwhile. */
SL_API void sl_model_wait(const sl_model *model);

/* Calls `emit` for each line of the model's program, the list of operations that computes a token;
 * a line has no newline and is valid during the call. */
SL_API void sl_model_print_program(const sl_model *model,
                                   void (*emit)(void *user, const char *line), void *user);

/* ---- tokens --------------------------------------------------------------------------------- */

typedef enum sl_tokenize_flags {
    SL_TOKENIZE_BOS = 1,     /* put BOS (and EOS behind) as the model's metadata says */
    SL_TOKENIZE_SPECIAL = 2, /* "<|eot|>" in the text means that token, not its characters */
} sl_tokenize_flags;

/* Splits `length` bytes of text (any bytes, at most 2^30) into tokens; `flags` are those of
 * sl_tokenize_flags. On success *tokens is an array of *count tokens that the caller frees with
 * sl_free; there are at most length + 3, or more where the tokenizer takes characters apart before
 * (normal forms of Unicode). What it works with meanwhile is little but for words of very many
 * characters: if it does not fit into what the memory budget leaves now, this is SL_ERR_MEMORY.
 * Text and tokens are the caller's memory. SL_ERR_ARGUMENT if the model has no tokenizer. */
SL_API SL_CHECK sl_status sl_tokenize(const sl_model *model, const char *text, size_t length,
                                      unsigned flags, int32_t **tokens, size_t *count,
                                      sl_error *error);

/* BOS, EOS, or -1 if the model has none. */
SL_API int32_t sl_token_bos(const sl_model *model);
SL_API int32_t sl_token_eos(const sl_model *model);

/* Whether the token ends a generation (EOS, end of turn, end of message). */
SL_API bool sl_token_is_end(const sl_model *model, int32_t token);

/* The bytes that one token stands for, as the vocabulary has them: maybe part of a character, a
 * SentencePiece token with the space in front of it. Control tokens give nothing unless `special`,
 * then their name. *bytes is not NUL-terminated and belongs to the model. Returns the length; an id
 * outside the vocabulary gives 0. Allocates nothing. */
SL_API size_t sl_token_piece(const sl_model *model, int32_t token, bool special,
                             const char **bytes);

/* A decoder of a stream of tokens: what it gives out is always whole characters of valid UTF-8.
 * Bytes that cannot be completed become U+FFFD. */
typedef struct sl_decoder sl_decoder;

/* special: whether control tokens are shown as their text. The model must outlive the decoder,
 * which on success is the caller's. SL_ERR_ARGUMENT if the model has no tokenizer. */
SL_API SL_CHECK sl_status sl_decoder_create(const sl_model *model, bool special,
                                            sl_decoder **decoder, sl_error *error);
SL_API void sl_decoder_free(sl_decoder *decoder); /* NULL is allowed */

/* Adds one token; *text points to what can be shown now (maybe empty), valid until the next call.
 * Returns its length in bytes. An id outside the vocabulary gives nothing. Allocates nothing. */
SL_API size_t sl_decoder_add(sl_decoder *decoder, int32_t token, const char **text);

/* Ends the stream: gives out what is held back, as sl_decoder_add does, and starts anew. */
SL_API size_t sl_decoder_finish(sl_decoder *decoder, const char **text);

/* Frees what a function of this header said to free so. NULL is allowed. */
SL_API void sl_free(void *pointer);

/* ---- sessions ------------------------------------------------------------------------------- */

typedef struct sl_session sl_session;

/* Types in which keys and values are kept. */
typedef enum sl_kv_type { SL_KV_F16 = 0, SL_KV_F32, SL_KV_BF16, SL_KV_Q8_0, SL_KV_Q4_0 } sl_kv_type;

typedef struct sl_session_options {
    size_t n_ctx;    /* positions to reserve for each session; 0: the model's own. Some Phi-3 models
                        have rotations for short and for long contexts: this decides between them,
                        and so does change results there */
    size_t n_batch;  /* most rows computed at once; 0: 512; at least one for each session */
    size_t n_logits; /* rows whose logits are computed at once by sl_session_eval_all, or kept by
                        sl_session_eval_last; 0: 1; at most n_batch, at least one a session */
    size_t threads;  /* 0: physical cores this process may use */
    sl_kv_type type_k, type_v;
    size_t pool_positions; /* positions that a group holds, all its sessions together, rounded up to
                              pages; 0: n_ctx for each. A prefix that is shared counts once */
    const char *spill_directory; /* where the file for suspended sessions is made, which has no name
                                    and goes with the group; NULL: no session can be suspended */
    uint64_t reserved;           /* bytes of the budget that the caller takes beside it: lookups */
    bool placement_told;         /* the caller has said how much of the weights stays in memory: it
                                    is noted only if reading the rest is not by io_uring, direct */
    bool keep_weights;           /* refuse rather than have weights give way that fit into memory */
    sl_progress_fn progress; /* may be NULL; "loading" a model larger than the memory left for it */
    sl_notice_fn notice;     /* may be NULL */
    void *user;              /* handed to both */
} sl_session_options;

SL_API void sl_session_options_init(sl_session_options *options);

/* Computes what the session needs, refuses with the number (SL_ERR_MEMORY) if that and the model's
 * other sessions are over its memory budget, else allocates all of it: computing tokens later
 * allocates nothing. On success *session is the caller's, to be freed before the model.
 * If the model does not fit beside it, and has no other session, then as much of it as fits is
 * loaded now, and the rest is read from the file for each pass over the model; sessions after that
 * have what is left. options may be NULL. */
SL_API SL_CHECK sl_status sl_session_create(sl_model *model, const sl_session_options *options,
                                            sl_session **session, sl_error *error);

/* Creates a group of `count` sessions (1 to 65536) that share threads, buffers and one pool of keys
 * and values, so that sl_session_eval_group computes tokens of several at once and reads the
 * weights once for all. What one holds never depends on the others. sessions[0] to
 * sessions[count - 1] are the caller's; on failure all are NULL or unchanged. Functions on
 * different sessions of a group, the freeing of one too, must not run at the same time. */
SL_API SL_CHECK sl_status sl_session_create_group(sl_model *model,
                                                  const sl_session_options *options, size_t count,
                                                  sl_session **sessions, sl_error *error);

/* Frees one session; what a group shares goes with its last one. NULL is allowed. */
SL_API void sl_session_free(sl_session *session);

/* Sizes are those of the group together, n_ctx and position aside. */
typedef struct sl_session_info {
    size_t n_ctx;
    size_t n_batch;
    size_t n_logits;
    size_t n_session; /* of the group, those already freed too */
    size_t threads;
    size_t position;       /* tokens computed and held */
    uint64_t kv_bytes;     /* all pages */
    uint64_t buffer_bytes; /* activations, logits, scratch, stacks, a sampler */
    /* What the budget was held against: the process, the model, what the caller reserved, and the
     * group. */
    uint64_t planned_bytes;
} sl_session_info;

SL_API void sl_session_get_info(const sl_session *session, sl_session_info *info);

/* Receives the logits that follow token number `index` of the prefix: n_vocab floats, valid during
 * the call. Return false to stop (SL_ERR_CANCELLED). */
typedef bool (*sl_logits_fn)(void *user, size_t index, const float *logits);

/* Makes `tokens` (the whole sequence from position 0, count >= 1) the session's content. What the
 * session already holds of that prefix is not computed again. Afterwards sl_session_logits gives
 * the logits that follow the last token. progress may be NULL; cancelling or failing leaves the
 * session with a valid shorter prefix. */
SL_API SL_CHECK sl_status sl_session_eval(sl_session *session, const int32_t *tokens, size_t count,
                                          sl_progress_fn progress, void *user, sl_error *error);

/* What one session shall hold: `count` tokens from position 0, at least 1. */
typedef struct sl_session_content {
    sl_session *session;
    const int32_t *tokens;
    size_t count;
} sl_session_content;

/* sl_session_eval for n different sessions of one group, computed together: whatever is missing of
 * any goes into the same batches, in the order of the list, the last tokens of all at the end. The
 * bits are those of each session by itself. Refuses, with nothing changed, if one content would be
 * refused; cancelling or failing leaves each session with a valid shorter prefix. Allocates
 * nothing. */
SL_API SL_CHECK sl_status sl_session_eval_group(const sl_session_content *contents, size_t n,
                                                sl_progress_fn progress, void *user,
                                                sl_error *error);

/* sl_session_eval that keeps the logits which follow each of the last `n_last` tokens (1 to the
 * session's n_logits, at most count) for sl_session_logits_at. So drafted tokens are checked: they
 * are evaluated at the end of the text, and where the logits lead elsewhere, the next evaluation,
 * of other tokens in their place, cuts them off. The bits are those of token by token. Allocates
 * nothing. */
SL_API SL_CHECK sl_status sl_session_eval_last(sl_session *session, const int32_t *tokens,
                                               size_t count, size_t n_last, sl_progress_fn progress,
                                               void *user, sl_error *error);

/* One pass over the weights for n different sessions of one group: of what is missing of their
 * contents, at most n_batch tokens, those of sessions that miss one token first, then those of the
 * others in the order of the list. Sessions whose content is complete by it have their logits
 * (sl_session_logits is not NULL); of the others, calling again computes more. A content that was
 * complete before has its last token computed anew. The bits are those of each session by itself.
 * SL_ERR_MEMORY, with nothing computed, if the pool has too few free pages for the batch; otherwise
 * as sl_session_eval_group, and nothing is computed either if cancelled. Allocates nothing. */
SL_API SL_CHECK sl_status sl_session_step_group(const sl_session_content *contents, size_t n,
                                                sl_progress_fn progress, void *user,
                                                sl_error *error);

/* The keys and values of a group, in positions. They are given out in pages: a session that holds
 * 33 positions has two pages of 32. */
typedef struct sl_session_pool {
    size_t page;  /* positions of a page */
    size_t total; /* multiples of it */
    size_t free;
} sl_session_pool;

SL_API void sl_session_get_pool(sl_session *session, sl_session_pool *pool);

/* Positions of the pool, in whole pages, that n different sessions of one group take from it until
 * they hold these contents, which go on from what they hold. One that is suspended counts nothing.
 */
SL_API size_t sl_session_wanted(const sl_session_content *contents, size_t n);

/* Keeps the session's first `count` tokens only; what nobody else shares of the rest becomes free.
 * A session that is suspended or moving is emptied, whatever the count. Waits if it is moving. */
SL_API void sl_session_cut(sl_session *session, size_t count);

/* Makes the first `count` tokens that `from` holds the content of `to`, another session of its
 * group, which drops what it held. Nothing is computed or copied: both share the pages until one
 * writes into a page that the other has too, and takes a page for its copy. `to` has no logits. */
SL_API SL_CHECK sl_status sl_session_share(const sl_session *from, sl_session *to, size_t count,
                                           sl_error *error);

/* Where a session's keys and values are. */
typedef enum sl_session_place {
    SL_SESSION_HERE,      /* in the pool; only here it can compute and share */
    SL_SESSION_LEAVING,   /* being written to the spill file */
    SL_SESSION_AWAY,      /* in the file; its pages are free for others, but those that it shares */
    SL_SESSION_RETURNING, /* being read back */
} sl_session_place;

/* Both begin a move and return at once; a thread of the group's own makes it while others of the
 * group compute. Suspending needs spill_directory. Resuming takes pages of the pool and is
 * SL_ERR_MEMORY, with nothing changed, if there are too few. Neither allocates. Logits of a session
 * that is suspended stay as valid as they are. */
SL_API SL_CHECK sl_status sl_session_suspend(sl_session *session, sl_error *error);
SL_API SL_CHECK sl_status sl_session_resume(sl_session *session, sl_error *error);

/* Where the session is by now; if `wait`, once it moves no more. SL_ERR_FILE, once, if its move
 * failed (the disk is full, say): a session that could not be written is here and holds what it
 * held, one that could not be read back is here and empty. */
SL_API SL_CHECK sl_status sl_session_settle(sl_session *session, bool wait, sl_session_place *place,
                                            sl_error *error);

/* Positions, in whole pages, that the session has in the file or on the way from or to it: what
 * resuming it takes. */
SL_API size_t sl_session_away(const sl_session *session);

/* sl_session_eval from an empty session, with the logits of every token handed to `each`, in
 * order, on the calling thread. */
SL_API SL_CHECK sl_status sl_session_eval_all(sl_session *session, const int32_t *tokens,
                                              size_t count, sl_logits_fn each, void *user,
                                              sl_error *error);

/* n_vocab floats that follow the last evaluated token; NULL before any, and after a later
 * evaluation of others of its group. Owned by the session, valid until the group's next evaluation.
 * The caller may write to them. */
SL_API float *sl_session_logits(sl_session *session);

/* The same for token number `index` of the session's content, counted from 0: the last one, and
 * those before it that sl_session_eval_last kept. NULL for any other. */
SL_API float *sl_session_logits_at(sl_session *session, size_t index);

/* Work on something that logits say; called on several threads at once. */
typedef void (*sl_work_fn)(void *user, size_t index);

/* Calls work(user, index) once for every index below `count`, shared out among the session's
 * threads, this one among them, and returns when all are done. Which thread gets which index, and
 * when, is open: results that do not depend on that depend on no number of threads either. Numbers
 * too small to be normal count as zero meanwhile, on all of them. `work` must not use the session's
 * group. Allocates nothing. */
SL_API void sl_session_spread(sl_session *session, size_t count, sl_work_fn work, void *user);

/* ---- sampling ------------------------------------------------------------------------------- */

typedef struct sl_logit_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY forbids the token */
} sl_logit_bias;

typedef struct sl_sampler sl_sampler;

/* The chain: logit bias, penalties, top-k, top-p, min-p, temperature, draw.
 * temperature <= 0 is greedy: the largest logit after bias and penalties, the lowest id on ties. */
typedef struct sl_sampler_options {
    uint64_t seed;           /* default 0: the caller chooses a random one if it wants one */
    float temperature;       /* 0.8 */
    int32_t top_k;           /* 40; <= 0: all */
    float top_p;             /* 0.95; >= 1: all; 0: the likeliest */
    float min_p;             /* 0.05; <= 0: all */
    float repeat_penalty;    /* 1.0: none */
    float presence_penalty;  /* 0: none */
    float frequency_penalty; /* 0: none */
    int32_t repeat_last_n;   /* 64 tokens looked at by the penalties; 0: none; -1: the context */
    size_t n_ctx;            /* what -1 above means */
    const sl_logit_bias *logit_bias;
    size_t logit_bias_count;
} sl_sampler_options;

/* The values that stand beside the options. */
SL_API void sl_sampler_options_init(sl_sampler_options *options);

/* For logits of n_vocab tokens. options may be NULL; the list of biases is copied. SL_ERR_ARGUMENT
 * for a number that cannot be meant. On success *sampler is the caller's. It needs no model. */
SL_API SL_CHECK sl_status sl_sampler_create(size_t n_vocab, const sl_sampler_options *options,
                                            sl_sampler **sampler, sl_error *error);
SL_API void sl_sampler_free(sl_sampler *sampler); /* NULL is allowed */

/* Tells the sampler that `token` is now part of the text (prompt tokens too). Allocates nothing. */
SL_API void sl_sampler_accept(sl_sampler *sampler, int32_t token);

/* Picks a token from n_vocab logits, which it leaves as they are. SL_ERR_RUNTIME if a logit is not
 * a number or none is left. Does not accept it. Allocates nothing. */
SL_API SL_CHECK sl_status sl_sampler_sample(sl_sampler *sampler, const float *logits,
                                            int32_t *token, sl_error *error);

/* ---- drafts --------------------------------------------------------------------------------- */

/* Looks up the end of a text earlier in the same text, and drafts what followed there. Code,
 * documents that are rewritten and answers that quote repeat much; where a text does not, nothing
 * is drafted. How to generate with it, the text being what it would be without:
 *
 *     the text's tokens and a draft behind them -> sl_session_eval_last, n_last = drafted + 1
 *     at each of these positions: sl_sampler_sample on its logits, sl_sampler_accept and
 *         sl_lookup_accept of the token picked; on to the next while that is the drafted one
 */
typedef struct sl_lookup sl_lookup;

typedef struct sl_lookup_options {
    size_t n_ctx;    /* most tokens of the text; behind them nothing is drafted */
    size_t n_draft;  /* 16: most tokens drafted at once; 1 to 256 */
    double row_cost; /* 0.25: what one more row adds to the time of a pass, as a share of a pass of
                        one row, until sl_lookup_timed has told. Drafts are the longer the lower it
                        is: near 0 where a pass mostly reads weights from a disk. */
} sl_lookup_options;

/* n_draft and row_cost as they stand there; n_ctx is the caller's to set. */
SL_API void sl_lookup_options_init(sl_lookup_options *options);

/* A guess of row_cost for a model, by how much of it is read from the file for each pass; to be
 * asked once there is a session, which decides that. */
SL_API double sl_lookup_row_cost(const sl_model_info *model);

/* What sl_lookup_create allocates, about 26 bytes for each token of n_ctx. */
SL_API uint64_t sl_lookup_bytes(const sl_lookup_options *options);

/* Allocates all that it will need. On success *lookup is the caller's; it needs no model. */
SL_API SL_CHECK sl_status sl_lookup_create(const sl_lookup_options *options, sl_lookup **lookup,
                                           sl_error *error);
SL_API void sl_lookup_free(sl_lookup *lookup); /* NULL is allowed */

/* Tells that `token` is now part of the text (prompt tokens too). Takes the same time however long
 * the text is. */
SL_API void sl_lookup_accept(sl_lookup *lookup, int32_t token);

/* Writes at most `room` tokens to `draft`: what may follow the text, as many as are worth checking
 * by what was right before in this text. Returns how many, often 0. */
SL_API size_t sl_lookup_draft(const sl_lookup *lookup, int32_t *draft, size_t room);

/* Tells how long a pass of `rows` rows took (1: without a draft), from which it learns what a row
 * costs. The drafts' lengths depend on it, the generated text does not. */
SL_API void sl_lookup_timed(sl_lookup *lookup, size_t rows, double seconds);

/* ---- inspecting files ----------------------------------------------------------------------- */

typedef struct sl_file sl_file;

/* Opens and checks the tables of a model of any kind that sl_model_load takes; all are told in
 * GGUF's words. On success *file is the caller's. */
SL_API SL_CHECK sl_status sl_file_open(const char *path, sl_file **file, sl_error *error);
SL_API void sl_file_close(sl_file *file); /* NULL is allowed */

typedef struct sl_file_info {
    const char *format; /* "GGUF v3" */
    uint64_t file_bytes;
    uint64_t data_offset; /* where tensor data begins */
    size_t metadata_count;
    size_t tensor_count;
} sl_file_info;

typedef enum sl_value_type {
    SL_VALUE_UINT,
    SL_VALUE_INT,
    SL_VALUE_FLOAT,
    SL_VALUE_BOOL,
    SL_VALUE_STRING,
    SL_VALUE_ARRAY,
} sl_value_type;

/* Pointers belong to the file. Keys and strings are not NUL-terminated and are any bytes. */
typedef struct sl_metadata {
    const char *key;
    size_t key_length;
    sl_value_type type;
    sl_value_type element_type; /* of an array */
    uint64_t count;             /* elements of an array; 1 otherwise */
} sl_metadata;

typedef struct sl_value {
    sl_value_type type;
    uint64_t u; /* SL_VALUE_UINT, SL_VALUE_BOOL (0, 1) */
    int64_t i;  /* SL_VALUE_INT */
    double f;   /* SL_VALUE_FLOAT */
    const char *string;
    size_t string_length;
} sl_value;

typedef struct sl_tensor_info {
    const char *name; /* not NUL-terminated */
    size_t name_length;
    const char *type; /* "Q4_K" */
    size_t n_dims;
    uint64_t dims[4]; /* dims[0] is the row length; unused ones are 1 */
    uint64_t offset;  /* from the start of the file */
    uint64_t bytes;
} sl_tensor_info;

/* `index` is below the count that the info gives, `element` below that of the metadata. */
SL_API void sl_file_get_info(const sl_file *file, sl_file_info *info);
SL_API void sl_file_metadata(const sl_file *file, size_t index, sl_metadata *metadata);
/* Element `element` of metadata `index` (0 for a scalar). Strings of an array are found by walking:
 * visit them in order. */
SL_API void sl_file_value(sl_file *file, size_t index, uint64_t element, sl_value *value);
SL_API void sl_file_tensor(const sl_file *file, size_t index, sl_tensor_info *tensor);

/* How the values of two tensors differ. */
typedef struct sl_comparison {
    uint64_t values;
    uint64_t different; /* of them */
    double largest;     /* difference; infinite where one value is finite and the other is not */
    double relative;    /* sqrt(sum (a - b)^2 / sum a^2) */
} sl_comparison;

/* Compares tensor a_index of file `a` with tensor b_index of file `b`, which must have the same
 * shape (SL_ERR_ARGUMENT), value by value in the order in which GGUF has them, whatever their types
 * and kinds of files. Two values that are no numbers count as equal. `threads` 0: the cores that
 * this process may use; the results do not depend on it. Safe for files that other threads use. */
SL_API SL_CHECK sl_status sl_file_compare(const sl_file *a, size_t a_index, const sl_file *b,
                                          size_t b_index, size_t threads, sl_comparison *comparison,
                                          sl_error *error);

/* ---- the machine ---------------------------------------------------------------------------- */

typedef struct sl_machine_info {
    uint64_t memory_total;
    uint64_t memory_available; /* the smaller of what is free and what cgroups allow */
    size_t cores;              /* physical cores this process may use */
    const char *cpu_features;  /* "avx2 avx512 vnni bf16"; static storage */
} sl_machine_info;

SL_API void sl_machine_get_info(sl_machine_info *info);

/* What sl_machine_measure measures. */
typedef enum sl_measure {
    SL_MEASURE_READ = 1, /* reading memory */
    SL_MEASURE_INT8 = 2, /* products of int8, as quantized weights take them */
    SL_MEASURE_BF16 = 4, /* of bf16 */
    SL_MEASURE_F32 = 8,  /* of f32, which F16 weights take as well */
    SL_MEASURE_ALL = 15,
} sl_measure;

/* The limits of this machine for some number of threads; 0 and NULL where not measured. The texts
 * are static. */
typedef struct sl_machine_limits {
    double read_bytes;      /* per second */
    double int8_operations; /* per second; a product and its addition are two */
    double bf16_operations;
    double f32_operations;
    const char *read_loop; /* which loop was the fastest: "four streams" */
    const char *int8_instructions, *bf16_instructions, *f32_instructions; /* "avx512 vnni" */
} sl_machine_limits;

/* Measures those in `what` (SL_MEASURE_* bits), each in a fraction of a second, as the best of
 * several runs on `threads` threads (0: physical cores this process may use). Reading takes a
 * buffer of at most `memory` bytes (0: 512 MiB, or a quarter of what is available), and is refused
 * with SL_ERR_MEMORY where that is under 64 MiB, which caches might hold. */
SL_API SL_CHECK sl_status sl_machine_measure(unsigned what, size_t threads, uint64_t memory,
                                             sl_machine_limits *limits, sl_error *error);

/* ---- planning ------------------------------------------------------------------------------- */

/* Of several runs of one measurement. All 0: not known. */
typedef struct sl_spread {
    double median, least, most;
} sl_spread;

enum { SL_FIGURE_ROWS = 7, SL_FIGURE_KERNELS = 32, SL_FIGURE_ATTENTIONS = 32 };

/* What matrices of one type come to here: products of a weight and an activation row per second,
 * all threads together, with 1, 2, 4, 8, 16, 64 and 512 rows at once. */
typedef struct sl_kernel_figure {
    char type[8];    /* "Q4_K" */
    bool rearranged; /* in memory, in the order made for this processor; else as files have them */
    double weight_bytes; /* of one weight */
    sl_spread rate[SL_FIGURE_ROWS];
} sl_kernel_figure;

/* What attention of such heads comes to: keys per second that a row looks at with all its heads. */
typedef struct sl_attention_figure {
    size_t n_head, n_head_kv, head_k, head_v;
    sl_kv_type type_k, type_v;
    sl_spread one;  /* where each row has keys of its own, as in generation */
    sl_spread many; /* where many rows share them, as in a prompt */
} sl_attention_figure;

/* What a machine can do, from which sl_plan_make predicts. A plain value: it may be copied, kept in
 * a file, or made up to plan for another machine. Where figures of kernels or attention are
 * missing, the plan takes the bare limits, which is what a program at its best might reach. */
typedef struct sl_figures {
    char processor[64];           /* figures are those of this one, */
    char features[64];            /* with these instruction sets, */
    size_t threads;               /* and so many threads */
    uint64_t disk_device;         /* number of the file system that `disk` is of */
    sl_spread read;               /* bytes of memory read per second */
    sl_spread disk;               /* bytes of files read per second, past the page cache, where they
                                     were read a moment before: what each pass over weights meets */
    sl_spread disk_first;         /* the same where they were not: what loading may meet; all 0:
                                     as `disk` */
    sl_spread int8, bf16, f32;    /* limits of arithmetic, as sl_machine_limits has them */
    sl_spread operation;          /* seconds that an operation of a program takes beside its work */
    size_t n_kernel, n_attention; /* the latest ones, at the front of: */
    sl_kernel_figure kernels[SL_FIGURE_KERNELS];
    sl_attention_figure attentions[SL_FIGURE_ATTENTIONS];
} sl_figures;

/* What this machine is, with `threads` threads (0: physical cores this process may use); nothing is
 * measured yet. Figures with other texts or threads than these are not of use here. */
SL_API void sl_figures_init(sl_figures *figures, size_t threads);

/* What to plan for. Exactly one of path and shape. */
typedef struct sl_plan_options {
    const char *path;         /* a model file, of which no weights are read */
    const char *shape, *type; /* as sl_model_synthesize has them, for a file of that shape */
    uint64_t memory_budget;   /* 0: what is available */
    size_t n_session;         /* sequences together; 0: 1 */
    sl_session_options session;
    size_t n_ctx_most; /* where session.n_ctx is 0: the model's own, but at most so many; 0: any */
    bool no_rearrange;
    const char *tokenizer; /* as in sl_model_options */
    bool quick;      /* the tokenizer, which takes time to build, is counted by a rule of thumb */
    bool heads_only; /* the files have their tables, and holes for the weights: nothing is to be
                        learnt from them of how fast the disk is */
    sl_progress_fn progress; /* of measuring, in steps; may be NULL */
    sl_notice_fn notice;     /* may be NULL */
    void *user;              /* handed to both */
} sl_plan_options;

SL_API void sl_plan_options_init(sl_plan_options *options);

/* Measures what the plan needs and `figures` do not hold yet, on figures->threads threads: each in
 * a fraction of a second, a few seconds in all, with up to 400 MiB of memory. The disk is that of
 * the model file, or where the file is small or there is none, that of a file made, and removed, in
 * the folder `scratch` (NULL: it stays unknown); where it cannot be measured, notice says so. On
 * failure, and when cancelled, the figures hold what was measured until then. */
SL_API SL_CHECK sl_status sl_figures_measure(const sl_plan_options *options, const char *scratch,
                                             sl_figures *figures, sl_error *error);

/* Whether `figures` hold all that the plan can use; false too where the model cannot be opened. */
SL_API bool sl_figures_suffice(const sl_plan_options *options, const sl_figures *figures);

/* What takes the time. */
typedef enum sl_limit {
    SL_LIMIT_UNKNOWN = 0, /* no speed is predicted: a figure is missing */
    SL_LIMIT_MEMORY,      /* reading weights, keys and values from memory */
    SL_LIMIT_DISK,        /* reading weights from the file */
    SL_LIMIT_ARITHMETIC,
} sl_limit;

typedef struct sl_speed {
    double tokens_per_second; /* of all sequences together; 0: not known */
    sl_limit limit;
} sl_speed;

/* Where the matrices are while the model runs. */
typedef enum sl_weights_place {
    SL_PLACE_MAPPED = 0, /* in memory, as the file has them */
    SL_PLACE_REARRANGED, /* in memory, in the order made for this processor */
    SL_PLACE_STREAMED,   /* a part in memory, the rest read from the file for each pass */
} sl_weights_place;

enum { SL_PLAN_GROUPS = 7 };

/* Sequences that generate together. */
typedef struct sl_plan_group {
    size_t sequences;        /* 1, 2, 4 ... 64 */
    bool fits;               /* else the speeds are unknown, and peak_bytes is what it would take
                                at least; 0: no memory is enough */
    uint64_t peak_bytes;     /* of memory */
    uint64_t streamed_bytes; /* read from the file by each pass */
    sl_speed first, full;    /* with n_prompt tokens in each sequence; with full contexts */
} sl_plan_group;

typedef struct sl_plan {
    char architecture[32], name[96], type[8]; /* type: that of most bytes */
    uint64_t parameter_count;
    uint64_t file_bytes;   /* of a shape: bytes of its weights */
    uint64_t weight_bytes; /* all weights */
    uint64_t pass_bytes;   /* weights that a pass reads, wherever they are: once for all its rows */
    size_t n_ctx, n_ctx_train, n_batch, n_session, threads;
    size_t n_prompt; /* of the predictions: 512, or what the context holds */

    uint64_t budget;
    uint64_t base_bytes;      /* process and tables */
    uint64_t tokenizer_bytes; /* 0 for a shape, which has none */
    uint64_t kv_bytes;        /* keys and values, of all sequences */
    uint64_t kv_token_bytes;  /* of one position */
    uint64_t buffer_bytes;
    sl_weights_place place;
    uint64_t kept_bytes;     /* memory that holds weights */
    uint64_t ring_bytes;     /* memory through which the others are read */
    uint64_t streamed_bytes; /* read from the file by each pass */
    uint64_t peak_bytes;     /* all of the above that is memory */

    uint64_t whole_bytes; /* the budget that keeps all weights in memory */
    size_t whole_ctx;     /* the largest context that does so, 0: none */
    char whole_type[16];  /* of a shape: the largest type that does so, "": none */

    double load_seconds; /* from the disk, nothing of the file being in memory; 0: not known */
    sl_speed prompt, prompt_full; /* a prompt of n_prompt tokens; one of a whole context */
    sl_speed first, full;         /* generation after n_prompt tokens; at the end of the context */
    sl_plan_group groups[SL_PLAN_GROUPS];
} sl_plan;

/* Predicts. Arithmetic alone: nothing is measured, no weights are read, nothing large is allocated.
 * What cannot work is SL_ERR_MEMORY, with what would; on any failure *plan is unchanged. */
SL_API SL_CHECK sl_status sl_plan_make(const sl_plan_options *options, const sl_figures *figures,
                                       sl_plan *plan, sl_error *error);

/* ---- converting ----------------------------------------------------------------------------- */

/* A tensor on its way. */
typedef struct sl_converted_tensor {
    const char *name; /* not NUL-terminated */
    size_t name_length;
    uint64_t shape[4]; /* shape[0]: values of a row */
    size_t n_dims;
    const char *from, *to; /* types: "F16"; static storage */
    const char *wanted;    /* the type that gave way to `to`, as the rows are no whole blocks of it;
                              NULL: none */
    uint64_t bytes_before, bytes_after;
    bool has_importance;   /* it is weighed by the importance matrix */
    bool lacks_importance; /* it would be, but the matrix that was given has no entry for it */
    double error; /* sqrt(sum (before - after)^2 / sum before^2); 0 where nothing is lost; below 0:
                     not known yet */
} sl_converted_tensor;

/* `tensor` and its name are valid during the call. */
typedef void (*sl_converted_fn)(void *user, size_t index, const sl_converted_tensor *tensor);

typedef struct sl_convert_options {
    const char *type; /* of matrices: "f16", "q4_0", or a mix such as "q4_k_m" (docs/quantize.md),
                         in any letter case; NULL: each as it is */
    const char *output_type;         /* of output.weight, or of the embedding where that is both */
    const char *embedding_type;      /* of token_embd.weight; both NULL: as the mix has it */
    const char *const *tensor_types; /* "PATTERN=TYPE", a PCRE2 pattern that is looked for in the
                                        names of matrices; the last one found wins */
    size_t n_tensor_type;
    bool leave_output;       /* output.weight keeps its type */
    bool pure;               /* all matrices get the main type of the mix */
    bool refuse_requantize;  /* SL_ERR_ARGUMENT if quantized weights would get another type */
    const char *importance;  /* path of an importance matrix, GGUF or .dat; NULL: none */
    uint64_t split_bytes;    /* most bytes of a file's tensors, where one has less; 0: one file */
    size_t threads;          /* 0: the cores that this process may use */
    sl_progress_fn progress; /* may be NULL */
    sl_notice_fn notice;     /* may be NULL */
    sl_converted_fn tensor;  /* called when a tensor is written, with its error, which takes some
                                time; NULL: errors are not measured */
    void *user;
} sl_convert_options;

/* All zero. */
SL_API void sl_convert_options_init(sl_convert_options *options);

/* A model of any kind that can be read, on its way into GGUF files. For one thread at a time. */
typedef struct sl_conversion sl_conversion;

/* Reads the model's tables. options may be NULL. On success the caller closes *conversion. */
SL_API SL_CHECK sl_status sl_conversion_open(const char *path, const sl_convert_options *options,
                                             sl_conversion **conversion, sl_error *error);
SL_API void sl_conversion_close(sl_conversion *conversion); /* NULL is allowed */

/* What becomes of the tensors, in their order; errors are known of those that are written. */
SL_API size_t sl_conversion_tensors(const sl_conversion *conversion);
SL_API void sl_conversion_tensor(const sl_conversion *conversion, size_t index,
                                 sl_converted_tensor *tensor);

/* How many files there will be, and the bytes of file number `index`, exactly. */
SL_API size_t sl_conversion_files(const sl_conversion *conversion);
SL_API uint64_t sl_conversion_bytes(const sl_conversion *conversion, size_t index);

/* Takes the next bytes of a file; false if that failed: then sl_conversion_write ends with
 * SL_ERR_CANCELLED. */
typedef bool (*sl_write_fn)(void *user, const void *bytes, size_t size);

/* Gives out file number `index` from its first byte to its last. Memory for some MiB is used,
 * whatever the model's size. Progress counts the bytes of all files. All callbacks are called from
 * this thread; while `write` is at work, other threads make what it will be given next. */
SL_API SL_CHECK sl_status sl_conversion_write(sl_conversion *conversion, size_t index,
                                              sl_write_fn write, void *user, sl_error *error);

/* ---- importance matrices -------------------------------------------------------------------- */

/* How large the inputs of a model's matrices are, column by column: the sums of their squares over
 * all tokens that a session computes, as they meet the matrices, before any rounding. Whoever
 * quantizes the model weighs its errors by them. Each sum is one double, to which tokens are added
 * in the order in which they are computed, so that its bits depend neither on threads nor on
 * batches. For the thread that has the session. */
typedef struct sl_importance sl_importance;

/* What it will take, for sl_session_options.reserved; n_batch as in these, 0: 512. */
SL_API uint64_t sl_importance_bytes(const sl_model *model, size_t n_batch);

/* From now on counts what the session, and others of its group, computes. Matrices behind the last
 * layer, the output matrix above all, meet only tokens whose logits are wanted: with `output` they
 * count too, and the caller sees to it that the logits of every token are computed
 * (sl_session_eval_all). One at a time for a group; freed before its last session. */
SL_API SL_CHECK sl_status sl_importance_create(sl_session *session, bool output,
                                               sl_importance **importance, sl_error *error);
SL_API void sl_importance_free(sl_importance *importance); /* NULL is allowed */

/* A tensor of the model, by its name in the model's file (as GGUF has it). */
typedef struct sl_importance_entry {
    const char *name; /* not NUL-terminated; the model's */
    size_t name_length;
    size_t n_columns;
    const double *sums; /* of squares, one for each column; go on growing */
    uint64_t count;     /* tokens added */
} sl_importance_entry;

SL_API size_t sl_importance_count(const sl_importance *importance);
SL_API void sl_importance_get(const sl_importance *importance, size_t index,
                              sl_importance_entry *entry);

typedef struct sl_importance_file {
    bool dat;         /* the kind without metadata that llama-imatrix wrote first; else GGUF */
    const char *text; /* the name of the text, less its folders; NULL: none */
    size_t n_ctx;     /* tokens of a chunk of it, at least 1 */
    size_t chunks;
} sl_importance_file;

/* Gives out the whole file in order; llama-quantize reads both kinds. Entries without tokens are
 * left out. SL_ERR_RUNTIME if a sum is not finite, SL_ERR_ARGUMENT if there is nothing to write,
 * SL_ERR_CANCELLED if `write` says so. */
SL_API SL_CHECK sl_status sl_importance_write(const sl_importance *importance,
                                              const sl_importance_file *file, sl_write_fn write,
                                              void *user, sl_error *error);

/* ---- references ----------------------------------------------------------------------------- */

/* What a model said of a text, saved in a file, to be held against what another one says: the log
 * probabilities of all tokens, 16 bits each, at each scored place. The format is that of
 * llama-perplexity's --kl-divergence-base. The text is cut into windows of n_ctx tokens; scored are
 * those behind number n_ctx / 2. Read-only once open: any number of threads may use one. */
typedef struct sl_reference sl_reference;

typedef struct sl_reference_info {
    size_t n_ctx;    /* tokens of a window, at least 3 */
    size_t n_vocab;  /* of the model, at least 1 */
    size_t n_window; /* at least 1 */
} sl_reference_info;

/* Scored tokens of a window of n_ctx: n_ctx - 1 - n_ctx / 2. */
SL_API size_t sl_reference_scored(size_t n_ctx);

/* Checks the file's head, size and tokens. On success the caller closes *reference. */
SL_API SL_CHECK sl_status sl_reference_open(const char *path, sl_reference **reference,
                                            sl_error *error);
SL_API void sl_reference_close(sl_reference *reference); /* NULL is allowed */

SL_API void sl_reference_get_info(const sl_reference *reference, sl_reference_info *info);

/* The n_ctx tokens of a window, as the text has them: where the tokenizer begins a text with BOS,
 * that was computed in place of the first one. */
SL_API void sl_reference_tokens(const sl_reference *reference, size_t window, int32_t *tokens);

/* The n_vocab natural logarithms of the probabilities that the model gave for scored token `index`
 * of a window, from 0. Values below the largest of them by 16 stand for it or anything less.
 * SL_ERR_FORMAT if they cannot be any, SL_ERR_RUNTIME if the file was cut short meanwhile. */
SL_API SL_CHECK sl_status sl_reference_read(const sl_reference *reference, size_t window,
                                            size_t index, float *log_probabilities,
                                            sl_error *error);

/* Making such a file. It is a head; the tokens of all windows, int32_t each; a row for each scored
 * token of each window, in order. */
#define SL_REFERENCE_HEAD_BYTES 20
SL_API void sl_reference_make_head(const sl_reference_info *info, void *head);
SL_API size_t sl_reference_row_bytes(size_t n_vocab);

/* The row of n_vocab logits, of which none is NaN or +infinity; log_sum is the logarithm of the sum
 * of their exponentials; `row` is aligned for floats. */
SL_API void sl_reference_make_row(const float *logits, size_t n_vocab, double log_sum, void *row);

/* ---- the process ---------------------------------------------------------------------------- */

/* The most memory that was resident in this process so far. */
SL_API uint64_t sl_peak_memory(void);

/* Installs a SIGBUS handler that turns a fault inside a model's mapping (its file was cut short)
 * into SL_ERR_RUNTIME of the running call; other faults go on to the handler that was there.
 * Call once, early. */
SL_API void sl_guard_mappings(void);

#ifdef __cplusplus
}
#endif

#endif
