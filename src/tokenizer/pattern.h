/* pattern.h - regular expressions as tokenizer.json writes them (Oniguruma's Ruby syntax), in the
 * words of PCRE2. What the two read differently is rewritten where that is possible, and refused
 * where it is not: a pattern never silently means something else. */
#ifndef TOKENIZER_PATTERN_H
#define TOKENIZER_PATTERN_H

#include "base/array.h"
#include "base/str.h"

/* The longest pattern taken; the longest published one has under 1,200 bytes. */
#define PATTERN_BYTES 8192u

/* Appends the pattern in PCRE2's syntax to `out`, an array of char, without a NUL. It is meant for
 * UTF mode with `$` and `^` at line ends, a line ending in "\n". SL_ERR_UNSUPPORTED with the
 * pattern and the place for what cannot be said in PCRE2: \b, \h, [a&&b], [a[^b]], {1,2}+ and
 * others. That brackets match is left for PCRE2 to check. */
SL_CHECK sl_status pattern_translate(str pattern, array *out, sl_error *error);

#endif
