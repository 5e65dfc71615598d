#include "tokenizer/pretokenizer_names.h"

#include "base/size.h"

static const pretokenizer_set gpt2 = {{PATTERN_GPT2}, 0};

/* StarCoder and many others cut out each digit first. */
static const pretokenizer_set starcoder = {{PATTERN_DIGIT, PATTERN_GPT2}, 0};

/* Llama 3's and Qwen2's differ in how many digits stay together. */
#define WORDS_OF(digits)                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const pretokenizer_set llama3 = {{WORDS_OF("\\p{N}{1,3}")}, 0};
static const pretokenizer_set qwen2 = {{WORDS_OF("\\p{N}")}, 0};
static const pretokenizer_set minicpm5 = {{"\\p{N}{1,3}", WORDS_OF("\\p{N}+")}, 0};
static const pretokenizer_set laguna = {{"[^\\n]+|[\\n]+", WORDS_OF("\\p{N}")}, 0};

/* Qwen 3.5's: marks belong to words. */
static const pretokenizer_set qwen35 = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
     "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    0};

static const pretokenizer_set seed_coder = {
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}"
     "| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    0};

static const pretokenizer_set bailing = {
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}"
     "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"},
    0};

/* GPT-4o's, and Tekken's without contractions: a word goes on as long as no capital follows a small
 * letter. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED_OF(suffix, digits)                                                                   \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER  \
    "*" suffix "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const pretokenizer_set gpt4o = {{CASED_OF("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "\\p{N}{1,3}")},
                                       0};
static const pretokenizer_set tekken = {{CASED_OF("", "\\p{N}")}, 0};

/* BLOOM's cuts at spaces and at some punctuation, which stays outside of words. */
#define BLOOM " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
static const pretokenizer_set bloom = {{BLOOM}, 0};
static const pretokenizer_set viking = {{BLOOM, PATTERN_DIGIT}, 0};

/* Falcon's last two come behind its ByteLevel. */
static const pretokenizer_set falcon = {
    {PATTERN_MARKS, PATTERN_GPT2, PATTERN_BYTE_DIGITS, "[0-9][0-9][0-9]"}, 2};

/* Chinese, Japanese and Korean in DeepSeek's. */
#define IDEOGRAPHS "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
static const pretokenizer_set deepseek_coder = {
    {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", IDEOGRAPHS, PATTERN_DIGIT}, 0};

/* All letters that have a case. */
#define CASED                                                                                      \
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"   \
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"           \
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd"  \
    "\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d"  \
    "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"          \
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"         \
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"     \
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b"    \
    "\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787"   \
    "\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"               \
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"         \
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
static const pretokenizer_set deepseek_llm = {{"[\\r\\n]", "\\s?[" CASED "]+",
                                               "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f"
                                               "\u3000-\u3002]+",
                                               "\\s+$", IDEOGRAPHS, PATTERN_DIGIT},
                                              0};

static const pretokenizer_set deepseek_v3 = {
    {"\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
     "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
     "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
    0};

const pretokenizer_named pretokenizer_names[] = {
    {"gpt-2", &gpt2, false, false},
    {"default", &gpt2, false, false},
    {"olmo", &gpt2, false, false},
    {"gpt-neox", &gpt2, false, false},
    {"mpt", &gpt2, false, false},
    {"phi-2", &gpt2, false, false},
    {"jais", &gpt2, false, false},
    {"trillion", &gpt2, false, false},
    {"exaone4", &gpt2, false, false},
    {"gigachat", &gpt2, false, false},
    {"granite-docling", &gpt2, false, false},
    {"mellum", &gpt2, false, false},
    {"starcoder", &starcoder, false, false},
    {"refact", &starcoder, false, false},
    {"command-r", &starcoder, false, false},
    {"smollm", &starcoder, false, false},
    {"codeshell", &starcoder, false, false},
    {"exaone", &starcoder, false, false},
    {"minerva-7b", &starcoder, false, false},
    {"mellum2", &starcoder, false, false},
    {"llama-bpe", &llama3, true, true},
    {"llama3", &llama3, true, true},
    {"llama-v3", &llama3, true, true},
    {"lfm2", &llama3, true, true},
    {"dbrx", &llama3, false, false},
    {"smaug-bpe", &llama3, false, false},
    {"chatglm-bpe", &llama3, false, false},
    {"glm4", &llama3, false, false},
    {"qwen2", &qwen2, false, false},
    {"stablelm2", &qwen2, false, false},
    {"deepseek-r1-qwen", &qwen2, false, false},
    {"megrez", &qwen2, false, false},
    {"hunyuan", &qwen2, false, false},
    {"solar-open", &qwen2, false, false},
    {"grok-2", &qwen2, false, false},
    {"qwen35", &qwen35, false, false},
    {"minicpm5", &minicpm5, true, false},
    {"laguna", &laguna, false, false},
    {"seed-coder", &seed_coder, false, false},
    {"bailingmoe", &bailing, false, false},
    {"bailingmoe2", &bailing, false, false},
    {"llada-moe", &bailing, false, false},
    {"gpt-4o", &gpt4o, false, false},
    {"llama4", &gpt4o, false, false},
    {"kanana2", &gpt4o, false, false},
    {"minimax-m2", &gpt4o, false, false},
    {"tekken", &tekken, true, true},
    {"bloom", &bloom, false, false},
    {"poro-chat", &bloom, false, false},
    {"gpt3-finnish", &bloom, false, false},
    {"viking", &viking, false, false},
    {"falcon", &falcon, false, false},
    {"deepseek-llm", &deepseek_llm, false, false},
    {"deepseek-coder", &deepseek_coder, false, false},
    {"deepseek-v3", &deepseek_v3, false, false},
    {"hunyuan-dense", &deepseek_v3, false, false},
    {"joyai-llm", &deepseek_v3, false, false},
};
const size_t pretokenizer_name_count = COUNT_OF(pretokenizer_names);
