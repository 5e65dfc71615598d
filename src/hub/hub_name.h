/* hub_name.h - names that come from a person or from a hub: user/repo:quant, paths, commits.
 *
 * hub/ is the room of the command that fetches models: the layout of the Hugging Face hub, which of
 * a repository's files a model is, the folder in which they are kept, and the fetching. It is no
 * part of the library: it sees of it the public header, and the small rooms base/ and formats/ by
 * their source. Names that a hub gives are hostile until they were looked at here.
 */
#ifndef HUB_HUB_NAME_H
#define HUB_HUB_NAME_H

#include "base/limits.h"
#include "base/str.h"

enum { HUB_PART_BYTES = 97, HUB_COMMIT_BYTES = 65, HUB_SHA256_BYTES = 65 };

typedef struct hub_name {
    char user[HUB_PART_BYTES], repo[HUB_PART_BYTES];
    char quant[LIMIT_HUB_PATH_BYTES + 1]; /* or the path of a file; "" where none was given */
} hub_name;

/* Reads "user/repo" or "user/repo:quant". False if the text is no such name: users and repositories
 * are letters, digits, '-', '_' and '.', at most 96 of them, and begin with no '.' or '-'. */
bool hub_name_parse(const char *text, hub_name *name);

/* Whether a path in a repository may become one in the cache: relative, with neither empty names
 * nor "." nor "..", nor control characters, within the ceilings. */
bool hub_path_is_good(str path);

/* Whether this is the name of a commit: 40 or 64 hexadecimal digits in lower case. */
bool hub_commit_is_good(str text);

/* Whether this is a sha256: 64 of them. */
bool hub_sha256_is_good(str text);

/* Whether a branch, a tag or a commit can have this name. */
bool hub_revision_is_good(const char *text);

#endif
