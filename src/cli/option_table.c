/* option_table.c - every sub-command and every option there is. The man page follows it. */
#include "cli/cli.h"
#include "cli/options.h"

#include <limits.h>

enum {
    WINDOWED = COMMAND_PERPLEXITY | COMMAND_IMATRIX,
    COMPUTING = COMMAND_RUN | COMMAND_BATCH | COMMAND_LOGITS | WINDOWED,
    GENERATING = COMMAND_RUN | COMMAND_BATCH,
    WITH_TEXT = COMMAND_RUN | COMMAND_TOKENIZE | COMMAND_LOGITS | WINDOWED,
    WITH_PROMPT = COMMAND_RUN | COMMAND_TOKENIZE | COMMAND_LOGITS,
    SESSIONS = COMPUTING | COMMAND_BENCH | COMMAND_PLAN,
    SHAPES = COMMAND_BENCH | COMMAND_PLAN,
    CONVERTING = COMMAND_CONVERT | COMMAND_QUANTIZE,
    WITH_MODEL = WITH_TEXT | COMMAND_BATCH | SHAPES,
    HUB = COMMAND_PULL | COMMAND_LIST | COMMAND_RM,
    ALL = WITH_TEXT | COMMAND_BATCH | COMMAND_INSPECT | SHAPES | CONVERTING | HUB,
};

enum {
    MOST_POSITIONS = 1 << 28,
    MOST_ROWS = 65536,
    MOST_THREADS = 1024,
    MOST_SEQUENCES = 4096,
    MOST_DRAFT = 256
};

/* In the order of sl_kv_type. */
static const char kv_types[] = "f16 f32 bf16 q8_0 q4_0";

#define FIELD(name) offsetof(cli_options, name)

/* clang-format off */
const option option_table[] = {
    {{"-m", "--model"}, WITH_MODEL, OPTION_PATH, FIELD(model), "FILE",
     .help = "the model: a file, a Hugging Face folder, or user/repo[:quant] as it was fetched"},
    {{"--tokenizer"}, WITH_MODEL, OPTION_PATH, FIELD(tokenizer), "FILE",
     .help = "a tokenizer's file, in place of the model's own (default: the model's, or else "
             "tokenizer.bin beside it)"},
    {{"-i", "--input"}, COMMAND_BATCH, OPTION_PATH, FIELD(input), "FILE",
     .help = "the requests, one a line; - for standard input"},
    {{"-o", "--output"}, COMMAND_BATCH, OPTION_PATH, FIELD(output), "FILE",
     .help = "where the results go, one a line; results of the same job that it holds already are "
             "kept, and the job goes on from there"},
    {{"--input-format"}, COMMAND_BATCH, OPTION_CHOICE, FIELD(input_format), "FORMAT",
     .choices = "auto jsonl text",
     .help = "jsonl: OpenAI's batches; text: each line is a prompt; auto: jsonl if the first "
             "character is { (default auto)"},
    {{"--ordered"}, COMMAND_BATCH, OPTION_FLAG, FIELD(ordered),
     .help = "put the results into the order of the requests once all are done"},
    {{"--plain"}, COMMAND_BATCH, OPTION_FLAG, FIELD(plain),
     .help = "write the texts alone, one a line in the order of the requests, once all are done; "
             "the results gather in FILE.jsonl meanwhile"},
    {{"--restart"}, COMMAND_BATCH, OPTION_FLAG, FIELD(restart),
     .help = "begin anew: drop the results that are there, whatever they are"},
    {{"-np", "--parallel"}, COMMAND_BATCH, OPTION_INTEGER, FIELD(most_parallel), "N", 1,
     MOST_SEQUENCES,
     .help = "most requests computed together (default: as many as memory has room for, at most "
             "128)"},
    {{"--pool"}, COMMAND_BATCH, OPTION_INTEGER, FIELD(pool), "N", 1, MOST_POSITIONS,
     .help = "most positions whose keys and values are kept in memory; requests that must wait go "
             "to a file and come back (default: as many as are of use and memory has room for)"},
    {{"--spill-dir"}, COMMAND_BATCH, OPTION_PATH, FIELD(spill_dir), "DIR",
     .help = "where that file is made, which has no name (default: where the results go)"},
    {{"--shape"}, COMMAND_BENCH, OPTION_PATH, FIELD(shape), "NAME",
     .help = "in place of a file: a model of this shape with random weights, made in memory; an "
             "unknown name lists all"},
    {{"--shape"}, COMMAND_PLAN, OPTION_PATH, FIELD(shape), "NAME",
     .help = "in place of a file: one of this shape, which need not exist; an unknown name lists "
             "all"},
    {{"--type"}, SHAPES, OPTION_PATH, FIELD(type), "TYPE",
     .help = "type of its weights: f32, f16, bf16, q8_0, q4_0, q4_k_m and so on; an unknown one "
             "lists all"},
    {{"--type"}, COMMAND_CONVERT, OPTION_PATH, FIELD(type), "TYPE",
     .help = "type of its matrices: f32, f16, bf16 or q8_0 (default: each as the source has it)"},
    {{"--split-max-size"}, CONVERTING, OPTION_SIZE, FIELD(split_size), "SIZE", .low = 1,
     .help = "write several files, NAME-00001-of-0000N.gguf, each with at most so many bytes of "
             "weights, such as 2G, if no single tensor has more"},
    {{"--imatrix"}, COMMAND_QUANTIZE, OPTION_PATH, FIELD(imatrix), "FILE",
     .help = "an importance matrix, GGUF or .dat: what each column is worth"},
    {{"--tensor-type"}, COMMAND_QUANTIZE, OPTION_TEXT_MANY, FIELD(tensor_types), "PATTERN=TYPE",
     .help = "another type for matrices in whose name the pattern (PCRE2) is found, such as "
             "'attn_v=q8_0'; may be repeated, the last one that is found wins"},
    {{"--output-tensor-type"}, COMMAND_QUANTIZE, OPTION_PATH, FIELD(output_type), "TYPE",
     .help = "type of output.weight, or of the embedding where that is both"},
    {{"--token-embedding-type"}, COMMAND_QUANTIZE, OPTION_PATH, FIELD(embedding_type), "TYPE",
     .help = "type of token_embd.weight"},
    {{"--leave-output-tensor"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(leave_output),
     .help = "output.weight keeps its type"},
    {{"--pure"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(pure),
     .help = "no mix: every matrix gets the main type"},
    {{"--allow-requantize"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(allow_requantize),
     .help = "take weights that are quantized already, too, which loses more"},
    {{"--dry-run"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(dry_run),
     .help = "only report types and sizes; DEST.gguf may be left out"},
    {{"--revision"}, COMMAND_PULL, OPTION_PATH, FIELD(revision), "NAME",
     .help = "a branch, a tag or a commit of the repository (default main)"},
    {{"--parallel"}, COMMAND_PULL, OPTION_INTEGER, FIELD(most_files), "N", 1, 64,
     .help = "files fetched at a time (default 4)"},
    {{"--timeout"}, COMMAND_PULL, OPTION_NUMBER, FIELD(timeout), "X", .lowest = 0.1,
     .highest = 3600,
     .help = "seconds without a byte after which a connection is given up and made anew; the first "
             "wait before that is a thirtieth of it, each further one is twice as long (default "
             "30)"},
    {{"--no-plan"}, COMMAND_PULL, OPTION_FLAG, FIELD(no_plan),
     .help = "fetch at once, without a plan before it"},
    {{"--dry-run"}, COMMAND_PULL, OPTION_FLAG, FIELD(dry_run),
     .help = "only say what would be fetched, and the plan; no weights are fetched"},
    {{"--dry-run"}, COMMAND_RM, OPTION_FLAG, FIELD(dry_run),
     .help = "only say what would be removed"},
    {{"-p", "--n-prompt"}, COMMAND_BENCH, OPTION_COUNTS, FIELD(prompts), "LIST", 0, MOST_POSITIONS,
     .help = "lengths of prompts to measure, such as 128,512; 0: none (default 512)"},
    {{"-n", "--n-gen"}, COMMAND_BENCH, OPTION_COUNTS, FIELD(predictions), "LIST", 0, MOST_POSITIONS,
     .help = "numbers of tokens to generate; 0: none (default 128)"},
    {{"-d", "--depth"}, COMMAND_BENCH, OPTION_COUNTS, FIELD(depths), "LIST", 0, MOST_POSITIONS,
     .help = "how many tokens come before, which are not measured (default 0)"},
    {{"-np", "--parallel"}, COMMAND_BENCH, OPTION_COUNTS, FIELD(parallel), "LIST", 1,
     MOST_SEQUENCES,
     .help = "numbers of sequences that generate together, such as 1,8, each with its own depth "
             "before it (default 1)"},
    {{"-t", "--threads"}, COMMAND_BENCH, OPTION_COUNTS, FIELD(thread_counts), "LIST", 1,
     MOST_THREADS,
     .help = "numbers of threads, such as 1,2 (default: the physical cores that this process may "
             "use)"},
    {{"-r", "--repetitions"}, COMMAND_BENCH, OPTION_INTEGER, FIELD(repetitions), "N", 1, 1000,
     .help = "how often each is measured; the median counts (default 5)"},
    {{"--limits"}, COMMAND_BENCH, OPTION_FLAG, FIELD(limits),
     .help = "measure only the limits of this machine; needs no model"},
    {{"-o", "--output"}, COMMAND_BENCH, OPTION_CHOICE, FIELD(format), "FORMAT",
     .choices = "md json csv", .help = "md, json or csv (default md, a table)"},
    {{"--memory"}, SESSIONS | COMMAND_INSPECT, OPTION_SIZE, FIELD(memory), "SIZE", .low = 1 << 20,
     .help = "most memory for everything together, such as 500M, 1.5G or 6G, in powers of 1024; "
             "weights that do not fit are read from the file for each pass (default: what is "
             "available)"},
    {{"--no-repack"}, SESSIONS, OPTION_FLAG, FIELD(no_repack),
     .help = "leave weights as the file has them; else quantized ones are rearranged in the "
             "background where that is faster and --memory has room (the results are the same)"},
    {{"-c", "--ctx-size"}, COMMAND_RUN, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "positions to reserve; 0: as many as the model was trained for (default: the prompt "
             "plus -n, at most the model's own; without -n the model's own, or what memory has "
             "room for)"},
    {{"-c", "--ctx-size"}, COMMAND_BATCH, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "most positions of a request, prompt and text together; 0: as many as the model was "
             "trained for (default 0)"},
    {{"-c", "--ctx-size"}, COMMAND_LOGITS, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "positions to reserve; 0: as many as the model was trained for (default: as many as "
             "there are tokens)"},
    {{"-c", "--ctx-size"}, COMMAND_IMATRIX, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "tokens of a window, at least 3; 0: as many as the model was trained for (default: "
             "512, at most the model's own)"},
    {{"-c", "--ctx-size"}, COMMAND_PERPLEXITY, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "tokens of a window, at least 3; 0: as many as the model was trained for (default: "
             "those of --reference, or 512, at most the model's own)"},
    {{"--chunks"}, WINDOWED, OPTION_INTEGER, FIELD(chunks), "N", 1, INT32_MAX,
     .help = "take the text's first N windows only (default: all)"},
    {{"--all"}, COMMAND_PERPLEXITY, OPTION_FLAG, FIELD(all),
     .help = "score every token: BOS stands before a window's tokens, not in place of one, and the "
             "last window may be shorter; without BOS the first token of each is not scored"},
    {{"--save-reference"}, COMMAND_PERPLEXITY, OPTION_PATH, FIELD(save_reference), "FILE",
     .help = "save what the model says, in llama-perplexity's format: 2 bytes for each token of "
             "the vocabulary, at each scored token"},
    {{"--reference"}, COMMAND_PERPLEXITY, OPTION_PATH, FIELD(reference), "FILE",
     .help = "compare with what another model said, as saved by this program or llama-perplexity; "
             "without -f its tokens are taken"},
    {{"--kl-divergence-base"}, COMMAND_PERPLEXITY, OPTION_PATH, FIELD(kl_base), "FILE",
     .help = "llama-perplexity's name for --save-reference, or with --kl-divergence for "
             "--reference"},
    {{"--kl-divergence"}, COMMAND_PERPLEXITY, OPTION_FLAG, FIELD(kl_divergence),
     .help = "compare with --kl-divergence-base"},
    {{"--process-output"}, COMMAND_IMATRIX, OPTION_FLAG, FIELD(process_output),
     .help = "gather the output matrix's inputs too, which takes longer: the logits of every token "
             "are computed"},
    {{"-c", "--ctx-size"}, COMMAND_PLAN, OPTION_INTEGER, FIELD(ctx), "N", 0, MOST_POSITIONS,
     .help = "positions of each sequence; 0: as many as the model was trained for (default: the "
             "same, at most 4096)"},
    {{"-np", "--parallel"}, COMMAND_PLAN, OPTION_INTEGER, FIELD(sequences), "N", 1,
     MOST_SEQUENCES,
     .help = "sequences together (default 1); what 1 to 64 of them come to is listed in any case"},
    {{"--remeasure"}, COMMAND_PLAN, OPTION_FLAG, FIELD(remeasure),
     .help = "measure this machine anew, instead of taking the figures that are kept from before"},
    {{"--bandwidth"}, COMMAND_PLAN, OPTION_NUMBER, FIELD(bandwidth), "X", .lowest = 0.001,
     .highest = 1e6,
     .help = "plan for another machine, whose memory is read at X GB/s; with --flops; nothing is "
             "measured then"},
    {{"--flops"}, COMMAND_PLAN, OPTION_NUMBER, FIELD(flops), "X", .lowest = 0.001, .highest = 1e9,
     .help = "its arithmetic with weights of this type: X thousand million operations a second, a "
             "product and its addition being two"},
    {{"--disk"}, COMMAND_PLAN, OPTION_NUMBER, FIELD(disk), "X", .lowest = 0.001, .highest = 1e6,
     .help = "its disk: X GB/s"},
    {{"-b", "--batch-size"}, SESSIONS, OPTION_INTEGER, FIELD(batch), "N", 1, MOST_ROWS,
     .help = "most tokens of a prompt computed at once (default 512)"},
    {{"-t", "--threads"}, COMPUTING | COMMAND_PLAN | COMMAND_INSPECT | CONVERTING, OPTION_INTEGER,
     FIELD(threads), "N", 1, MOST_THREADS,
     .help = "threads (default: the physical cores that this process may use)"},
    {{"-ctk", "--cache-type-k"}, SESSIONS, OPTION_CHOICE, FIELD(type_k), "TYPE",
     .choices = kv_types,
     .help = "type in which keys are kept: f16, f32, bf16, q8_0 or q4_0 (default f16)"},
    {{"-ctv", "--cache-type-v"}, SESSIONS, OPTION_CHOICE, FIELD(type_v), "TYPE",
     .choices = kv_types, .help = "the same for values (default f16)"},

    {{"-p", "--prompt"}, WITH_PROMPT, OPTION_TEXT, FIELD(prompt), "TEXT",
     .help = "the text itself"},
    {{"-f", "--file"}, COMMAND_RUN, OPTION_PATH, FIELD(file), "FILE",
     .help = "a file that holds the text, - for standard input; one newline at its end is left "
             "out (default: standard input, unless that is a terminal)"},
    {{"-f", "--file"}, COMMAND_PERPLEXITY, OPTION_PATH, FIELD(file), "FILE",
     .help = "a file that holds the text, - for standard input; every byte of it counts (default: "
             "the reference's own tokens, or standard input, unless that is a terminal)"},
    {{"-f", "--file"}, WITH_TEXT & ~(COMMAND_RUN | COMMAND_PERPLEXITY), OPTION_PATH, FIELD(file),
     "FILE",
     .help = "a file that holds the text, - for standard input; every byte of it counts (default: "
             "standard input, unless that is a terminal)"},
    {{"-e", "--escape"}, COMMAND_RUN, OPTION_FLAG, FIELD(escape),
     .help = "in -p and -r, \\n \\t \\r \\0 \\\\ \\\" \\' and \\xHH mean what they mean in C"},
    {{"-e", "--escape"}, COMMAND_BATCH, OPTION_FLAG, FIELD(escape),
     .help = "in -r and in prompts of plain text, \\n \\t \\r \\0 \\\\ \\\" \\' and \\xHH mean "
             "what they mean in C"},
    {{"-e", "--escape"}, WITH_PROMPT & ~COMMAND_RUN, OPTION_FLAG, FIELD(escape),
     .help = "in -p, \\n \\t \\r \\0 \\\\ \\\" \\' and \\xHH mean what they mean in C"},
    {{"--no-bos"}, WITH_PROMPT | COMMAND_BATCH, OPTION_FLAG, FIELD(no_bos),
     .help = "do not put the token that begins a text in front (nor the one that ends it behind), "
             "even if the model's file says so"},
    {{"--parse-special"}, WITH_PROMPT | COMMAND_BATCH, OPTION_FLAG, FIELD(parse_special),
     .help = "the name of a control token in the text, such as </s>, means that token and not its "
             "characters"},
    {{"--tokens"}, COMMAND_LOGITS, OPTION_TOKENS, FIELD(tokens), "LIST",
     .help = "the tokens themselves, such as 1,15,7, instead of a text"},

    {{"-n", "--predict", "--n-predict"}, COMMAND_RUN, OPTION_INTEGER, FIELD(predict), "N", -2,
     MOST_POSITIONS,
     .help = "most tokens to generate; -1 or -2: until the text ends or the context is full "
             "(default -1)"},
    {{"-n", "--predict", "--n-predict"}, COMMAND_BATCH, OPTION_INTEGER, FIELD(predict), "N", 0,
     MOST_POSITIONS,
     .help = "most tokens to generate for a request that has no max_tokens (default 16)"},
    {{"-r", "--reverse-prompt"}, COMMAND_BATCH, OPTION_TEXT_MANY, FIELD(reverse), "TEXT",
     .help = "stop where this text would come, for requests that have no stop; may be repeated"},
    {{"-s", "--seed"}, COMMAND_BATCH, OPTION_INTEGER, FIELD(seed), "N", 0, INT64_MAX,
     .help = "seed from which each request that has none gets its own, by the number of its line "
             "(default 0)"},
    {{"-r", "--reverse-prompt"}, COMMAND_RUN, OPTION_TEXT_MANY, FIELD(reverse), "TEXT",
     .help = "stop where this text would come, without printing it; may be repeated"},
    {{"--ignore-eos"}, GENERATING, OPTION_FLAG, FIELD(ignore_eos),
     .help = "never choose a token that ends the text"},
    {{"--echo"}, COMMAND_RUN, OPTION_FLAG, FIELD(echo),
     .help = "print the prompt in front of the generated text"},
    {{"--special"}, COMMAND_RUN, OPTION_FLAG, FIELD(special),
     .help = "print control tokens, such as </s>, by name"},

    {{"--lookup"}, COMMAND_RUN, OPTION_FLAG, FIELD(lookup),
     .help = "look up the end of the text earlier in it and check what followed there several "
             "tokens at a time: the same text, sooner where it repeats itself"},
    {{"--draft", "--draft-max", "--draft-n"}, COMMAND_RUN, OPTION_INTEGER, FIELD(draft), "N", 1,
     MOST_DRAFT,
     .help = "with --lookup, most tokens drafted at a time; fewer are where that pays better "
             "(default 16)"},

    {{"-s", "--seed"}, COMMAND_RUN, OPTION_INTEGER, FIELD(seed), "N", -1, INT64_MAX,
     .help = "seed of the random numbers; -1: a new one each time, printed at the end (default "
             "-1)"},
    {{"--temp", "--temperature"}, GENERATING, OPTION_NUMBER, FIELD(temperature), "X",
     .lowest = 0, .highest = 100,
     .help = "temperature; 0: always the likeliest token (default 0.8)"},
    {{"--top-k"}, GENERATING, OPTION_INTEGER, FIELD(top_k), "N", -1, INT32_MAX,
     .help = "choose among the N likeliest tokens; 0 or -1: all (default 40)"},
    {{"--top-p"}, GENERATING, OPTION_NUMBER, FIELD(top_p), "X", .lowest = 0, .highest = 1,
     .help = "choose among the likeliest tokens that together have probability X; 1: all "
             "(default 0.95)"},
    {{"--min-p"}, GENERATING, OPTION_NUMBER, FIELD(min_p), "X", .lowest = 0, .highest = 1,
     .help = "choose among tokens at least X times as likely as the likeliest; 0: all (default "
             "0.05)"},
    {{"--repeat-penalty"}, GENERATING, OPTION_NUMBER, FIELD(repeat_penalty), "X",
     .lowest = 0.01, .highest = 100,
     .help = "make recent tokens less likely by this factor; 1: not (default 1)"},
    {{"--presence-penalty"}, GENERATING, OPTION_NUMBER, FIELD(presence_penalty), "X",
     .lowest = -100, .highest = 100,
     .help = "take X from the logit of each recent token; 0: not (default 0)"},
    {{"--frequency-penalty"}, GENERATING, OPTION_NUMBER, FIELD(frequency_penalty), "X",
     .lowest = -100, .highest = 100,
     .help = "the same for each time that it occurs (default 0)"},
    {{"--repeat-last-n"}, GENERATING, OPTION_INTEGER, FIELD(repeat_last_n), "N", -1,
     MOST_POSITIONS,
     .help = "how many tokens count as recent; 0: none; -1: the whole context (default 64)"},
    {{"-l", "--logit-bias"}, COMMAND_RUN, OPTION_BIAS_MANY, FIELD(logit_bias), "ID+X",
     .help = "add X to the logit of token ID, or take it away with ID-X; ID-inf forbids the "
             "token; may be repeated"},

    {{"-o", "--output"}, COMMAND_LOGITS, OPTION_PATH, FIELD(output), "FILE",
     .help = "where the logits go: float32 [tokens, vocabulary] in NumPy's format 1.0; the file "
             "appears whole or not at all"},
    {{"-o", "--output"}, COMMAND_IMATRIX, OPTION_PATH, FIELD(output), "FILE",
     .help = "where the importance matrix goes: GGUF, or, if FILE ends in .dat, the kind that "
             "llama-imatrix wrote before; it appears whole or not at all"},
    {{"--ids"}, COMMAND_TOKENIZE, OPTION_FLAG, FIELD(ids),
     .help = "print only the numbers, on one line"},
    {{"--tensors"}, COMMAND_INSPECT, OPTION_FLAG, FIELD(tensors),
     .help = "list every tensor: name, type, shape, offset in the file, bytes"},
    {{"--program"}, COMMAND_INSPECT, OPTION_FLAG, FIELD(program),
     .help = "list the operations that compute a token (loads the model)"},
    {{"--json"}, COMMAND_TOKENIZE, OPTION_FLAG, FIELD(json),
     .help = "print a JSON array: of objects with id and piece, or with --ids of numbers"},
    {{"--json"}, COMMAND_PERPLEXITY, OPTION_FLAG, FIELD(json),
     .help = "print the result as one JSON object"},
    {{"--plan"}, COMMAND_INSPECT, OPTION_FLAG, FIELD(plan),
     .help = "also what `sluice plan` tells of the model"},
    {{"--json"}, COMMAND_INSPECT, OPTION_FLAG, FIELD(json),
     .help = "print everything, tensors included, as one JSON object"},
    {{"--json"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(json),
     .help = "print the report as one JSON object on standard output"},
    {{"--json"}, COMMAND_LIST, OPTION_FLAG, FIELD(json),
     .help = "print a JSON array, with paths, commits and bytes"},
    {{"--json"}, COMMAND_PLAN, OPTION_FLAG, FIELD(json),
     .help = "print the plan as one JSON object"},
    {{"-q", "--quiet"}, GENERATING, OPTION_FLAG, FIELD(quiet),
     .help = "no progress, no plan and no statistics on standard error"},
    {{"-q", "--quiet"}, COMMAND_QUANTIZE, OPTION_FLAG, FIELD(quiet),
     .help = "no progress and no report on standard error"},
    {{"-q", "--quiet"}, ALL & ~GENERATING & ~COMMAND_QUANTIZE, OPTION_FLAG, FIELD(quiet),
     .help = "no progress on standard error"},
    {{"-v", "--verbose"}, COMPUTING, OPTION_FLAG, FIELD(verbose),
     .help = "describe the model, the machine and what is reserved"},
    {{"-h", "--help"}, ALL, OPTION_FLAG, FIELD(help), .help = "show this help"},
    {.names = {NULL}},
};

const command command_table[] = {
    {"run", COMMAND_RUN, command_run, "complete a prompt",
     "-m MODEL [-p TEXT | -f FILE] [-n N] [options]",
     "Completes a prompt. The generated text goes to standard output as it comes, everything else "
     "to standard error. Without -p and -f the prompt is read from standard input, or is empty if "
     "that is a terminal. It ends at the end of the text, after -n tokens, at a reverse prompt, "
     "when the context is full, or on Ctrl-C (a second one ends it at once).", NULL, NULL, NULL},
    {"batch", COMMAND_BATCH, command_batch, "complete many prompts together, from file to file",
     "-m MODEL -i FILE -o FILE [-n N] [-np N] [--ordered] [--plain] [--restart] [options]",
     "Completes many prompts together, so that the weights are read once for all: requests in the "
     "form of OpenAI's batches, or a prompt a line. Results come as they are done. A job that was "
     "ended, by Ctrl-C or anyhow, goes on where it was when the same command is given again. The "
     "result of a request depends on the request and its seed only.", NULL, NULL, NULL},
    {"tokenize", COMMAND_TOKENIZE, command_tokenize, "show the tokens of a text",
     "-m MODEL [-p TEXT | -f FILE] [--ids | --json] [options]",
     "Prints a line for each token of a text: its number, a tab, and the bytes it stands for in "
     "quotes. The model file needs a tokenizer, but no tensors.", NULL, NULL, NULL},
    {"logits", COMMAND_LOGITS, command_logits, "write the logits of a text to a file",
     "-m MODEL (--tokens LIST | -p TEXT | -f FILE) -o FILE [options]",
     "Computes the logits that follow each token and writes them as a NumPy array, for comparing "
     "engines.", NULL, NULL, NULL},
    {"perplexity", COMMAND_PERPLEXITY, command_perplexity,
     "measure how well a model predicts a text",
     "-m MODEL [-f FILE] [-c N] [--save-reference FILE | --reference FILE] [options]",
     "Cuts a text into windows of -c tokens that do not overlap and prints how well the tokens of "
     "each one's second half are predicted from those before them in the window, as "
     "llama-perplexity does: if the model's tokenizer begins a text with a token of its own, that "
     "is put in place of each window's first one, and what is left behind the last window is left "
     "out. Beside a saved reference of the same text, such as the unquantized model's, also how "
     "far its probabilities are from those: the Kullback-Leibler divergence, how often the "
     "likeliest token is the same, and the change of the token's probability, with their "
     "standard errors.", NULL, NULL, NULL},
    {"inspect", COMMAND_INSPECT, command_inspect, "show what a model file holds",
     "MODEL [OTHER] [--tensors] [--program] [--plan] [--json] [options]",
     "Shows the metadata of a model file and a summary of its tensors. No weights are read, "
     "unless --program asks for what loading makes of them. With --plan follows what the model "
     "will need and how fast it will be on this machine. Of two models it shows what differs: "
     "metadata, tensors, and by how much their values do, whatever their types.", "MODEL", "OTHER",
     NULL},
    {"convert", COMMAND_CONVERT, command_convert, "write a model as GGUF",
     "SOURCE DEST.gguf [--type TYPE] [--split-max-size SIZE] [options]",
     "Writes a model of any kind that can be read as a GGUF file, which other programs read too. "
     "Weights pass through a few MiB of memory, however many there are. The file appears whole or "
     "not at all.", "SOURCE", "DEST.gguf", NULL},
    {"quantize", COMMAND_QUANTIZE, command_quantize, "write a model with smaller weights",
     "SOURCE DEST.gguf TYPE [--imatrix FILE] [--tensor-type PATTERN=TYPE] [options]",
     "Writes a model of any kind that can be read as a GGUF file whose matrices have another type: "
     "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, iq4_xs, mxfp4, or a mix such as "
     "q4_k_m, which spares the tensors that need it; an unknown one lists all. A line per tensor "
     "tells what it has become and how far its values are from those before. Weights pass through "
     "a few MiB of memory. The file appears whole or not at all.", "SOURCE", "DEST.gguf", "TYPE"},
    {"imatrix", COMMAND_IMATRIX, command_imatrix, "gather what quantizing should be careful with",
     "-m MODEL -f FILE -o FILE [-c N] [--chunks N] [--process-output] [options]",
     "Gathers an importance matrix: computes a text in windows of -c tokens and adds up, for every "
     "matrix of the model, the squares of its inputs, column by column. Whoever quantizes the "
     "model, this program or llama-quantize, weighs its errors by them. A text of a hundred "
     "thousand tokens or more, like what the model will be used for, is good.", NULL, NULL, NULL},
    {"bench", COMMAND_BENCH, command_bench, "measure how fast a model is here",
     "(-m MODEL | --shape NAME --type TYPE | --limits) [-p LIST] [-n LIST] [-d LIST] [-np LIST] "
     "[-t LIST] [-r N] [options]",
     "Measures prompts (pp512: a prompt of 512 tokens) and generation (tg128: 128 tokens one by "
     "one; tg128x8: 8 sequences together, tokens of all), each after a warm-up: tokens per second, "
     "median, least and most. Beside it stands what limits it on this machine, measured just "
     "before and after: how fast memory is read for generation, products per second of that "
     "number format for prompts, and of both what takes longer for several sequences.",
     NULL, NULL, NULL},
    {"plan", COMMAND_PLAN, command_plan, "predict what a model needs and how fast it is",
     "(-m MODEL | --shape NAME --type TYPE) [--memory SIZE] [-c N] [-np N] [options]",
     "Predicts, before anything is loaded or even downloaded: the memory that a model takes and "
     "what of its weights stays there, the time to load, tokens per second of prompts, of "
     "generation and of several sequences together, and what limits each. It is arithmetic on "
     "figures of this machine, which are measured in a few seconds, once, and kept in "
     "sluice/machine.json under $XDG_CACHE_HOME or ~/.cache; or on figures of another machine: "
     "--bandwidth, --flops, --disk. What cannot work is refused, with what would.",
     NULL, NULL, NULL},
    {"pull", COMMAND_PULL, command_pull, "fetch a model from the Hugging Face hub",
     "user/repo[:quant] [--revision NAME] [--dry-run] [options]",
     "Fetches a GGUF file of the repository, by its quantization, or all files of a set; without a "
     "quantization Q4_K_M, Q4_0 or Q8_0, whichever is there first, or the only one. Of a "
     "repository without GGUF the folder is fetched. Before the weights come, the plan is printed: "
     "what the model will need, and how fast it will be here. What was broken off goes on when the "
     "same command is given again. Files are checked and appear whole. They are kept in "
     "$SLUICE_CACHE, or sluice/models under $XDG_CACHE_HOME or ~/.cache; other commands take "
     "user/repo[:quant] in place of a file. HF_TOKEN is for repositories that want to know who "
     "asks, HF_ENDPOINT for another hub, SSL_CERT_FILE for the authorities of its certificate.",
     "user/repo", NULL, NULL},
    {"list", COMMAND_LIST, command_list, "list the models that were fetched",
     "[--json] [options]",
     "Lists the models of the cache: name, size, and when they were fetched.", NULL, NULL, NULL},
    {"rm", COMMAND_RM, command_rm, "remove models that were fetched",
     "user/repo[:quant] [--dry-run] [options]",
     "Removes a model from the cache, whole or not, or all of a repository, and says what was "
     "freed.", "user/repo", NULL, NULL},
    {.name = NULL},
};
/* clang-format on */
