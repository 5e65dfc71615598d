/* limits.h - the ceilings: the most of anything that a file or a request may ask for.
 *
 * They are far above every model known and far below what would hurt: a count is compared with its
 * ceiling before anything is multiplied by it or allocated for it.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define LIMIT_MODEL_FILES 1000u        /* files of one model */
#define LIMIT_METADATA 65536u          /* metadata entries of a file */
#define LIMIT_TENSORS 1048576u         /* tensors of a file */
#define LIMIT_NAME_BYTES 65535u        /* a metadata key (GGUF says 2^16 - 1) */
#define LIMIT_TENSOR_NAME_BYTES 64u    /* GGUF: at most 64 bytes */
#define LIMIT_RAW_NAME_BYTES 512u      /* the same in safetensors and torch files */
#define LIMIT_JSON_BYTES (64u << 20)   /* a JSON text */
#define LIMIT_JSON_VALUES 4194304u     /* its values, about */
#define LIMIT_JSON_DEPTH 32u           /* values inside of values */
#define LIMIT_PICKLE_BYTES (32u << 20) /* a torch file's description of its tensors */
#define LIMIT_PICKLE_VALUES 2097152u   /* the values in it, and what stands for them */
#define LIMIT_ZIP_ENTRIES 1048576u     /* files in a zip archive */
#define LIMIT_VOCABULARY 4194304u      /* tokens */
#define LIMIT_TOKEN_BYTES 65536u       /* one token's text */
#define LIMIT_MERGES 16777216u         /* BPE merges; cuts of SentencePiece tokens into two */
#define LIMIT_TEXT_BYTES (1u << 30)    /* a text to tokenize: 1 GiB */
#define LIMIT_LAYERS 4096u
#define LIMIT_HEADS 16384u
#define LIMIT_HEAD_SIZE 4096u
#define LIMIT_EMBEDDING 1048576u
#define LIMIT_FEED_FORWARD 4194304u
#define LIMIT_CONTEXT (1u << 28) /* positions of a sequence */
#define LIMIT_BATCH 65536u       /* rows computed at once */
#define LIMIT_THREADS 1024u
#define LIMIT_DRAFT 256u           /* tokens drafted at once */
#define LIMIT_TYPE_OVERRIDES 1024u /* patterns with a type, when a model is quantized */

#define LIMIT_HUB_FILES 100000u           /* files of a repository */
#define LIMIT_HUB_PAGES 1000u             /* pages in which a hub lists them */
#define LIMIT_HUB_PATH_BYTES 1024u        /* of a file's path in its repository */
#define LIMIT_HUB_DEPTH 16u               /* names in such a path */
#define LIMIT_HUB_FILE_BYTES (1ull << 44) /* a file: 16 TiB */
#define LIMIT_HUB_HEAD_BYTES (64u << 20)  /* the head of a file, before its weights */
#define LIMIT_HUB_MODELS 4096u            /* models of one repository in the cache */
#define LIMIT_MANIFEST_BYTES (8u << 20)   /* the cache's own note of a repository */
#define LIMIT_HUB_RETRY_SECONDS 600u      /* the longest that a hub may have us wait */

#define LIMIT_TOKENIZER_BYTES (1u << 28) /* a tokenizer's own file: 256 MiB */

/* A tensor's name in ggml's formats before GGUF. */
#define LIMIT_LEGACY_NAME_BYTES 512u

#endif
