/* hub_settings.c - hub_settings.h. */
#include "cli/hub_settings.h"

#include "cli/cli.h"
#include "hub/cache.h"
#include "os/console/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, TOKEN_BYTES = 600 };

const char *hub_settings_cache(void) {
    static char folder[PATH_BYTES];
    const char *const own = getenv("SLUICE_CACHE");
    const char *const cache = getenv("XDG_CACHE_HOME");
    const char *const home = getenv("HOME");
    int length = 0;
    if (own && own[0]) {
        length = snprintf(folder, sizeof folder, "%s", own);
    } else if (cache && cache[0] == '/') { /* relative ones are to be ignored */
        length = snprintf(folder, sizeof folder, "%s/sluice/models", cache);
    } else if (home && home[0] == '/') {
        length = snprintf(folder, sizeof folder, "%s/.cache/sluice/models", home);
    }
    if (length <= 0 || length >= PATH_BYTES) {
        message("there is no folder for models: none of SLUICE_CACHE, XDG_CACHE_HOME and HOME "
                "names one");
        return NULL;
    }
    return folder;
}

const char *hub_settings_endpoint(void) {
    const char *const endpoint = getenv("HF_ENDPOINT");
    return endpoint && endpoint[0] ? endpoint : "https://huggingface.co";
}

/* The first line of the file, without blanks around it; false if there is none. */
static bool read_token(const char *path, char token[TOKEN_BYTES]) {
    FILE *const file = fopen(path, "rb");
    if (!file) {
        return false;
    }
    const bool read = fgets(token, TOKEN_BYTES, file) != NULL;
    fclose(file);
    if (!read) {
        return false;
    }
    const size_t begin = strspn(token, " \t");
    memmove(token, token + begin, strlen(token + begin) + 1);
    token[strcspn(token, " \t\r\n")] = 0;
    return token[0] != 0;
}

const char *hub_settings_token(void) {
    static char token[TOKEN_BYTES];
    char path[PATH_BYTES];
    const char *const given = getenv("HF_TOKEN");
    const char *const folder = getenv("HF_HOME");
    const char *const home = getenv("HOME");
    if (given && given[0]) {
        return given;
    }
    const int length = folder && folder[0] ? snprintf(path, sizeof path, "%s/token", folder)
                       : home && home[0]
                           ? snprintf(path, sizeof path, "%s/.cache/huggingface/token", home)
                           : 0;
    return length > 0 && length < PATH_BYTES && read_token(path, token) ? token : NULL;
}

const char *hub_settings_authorities(void) {
    const char *const file = getenv("SSL_CERT_FILE");
    return file && file[0] ? file : NULL;
}

int hub_settings_resolve(const char **model, char **found) {
    hub_name name;
    if (!*model || console_file_at(*model) != CONSOLE_FILE_NONE || !hub_name_parse(*model, &name)) {
        return CLI_DONE;
    }
    const char *const folder = hub_settings_cache();
    sl_error error = {0};
    if (!folder) {
        return CLI_USAGE;
    }
    if (hub_cache_find(folder, *model, found, &error) != SL_OK) {
        return library_error(&error);
    }
    *model = *found;
    return CLI_DONE;
}
