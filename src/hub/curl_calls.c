#ifdef SLUICE_CURL

#include "hub/curl_calls.h"

#include "base/error.h"
#include "base/size.h"
#include "os/console/console.h"

#include <string.h>

static const struct {
    size_t offset;
    const char *name;
} functions[] = {
    {offsetof(curl_calls, global_init), "curl_global_init"},
    {offsetof(curl_calls, easy_init), "curl_easy_init"},
    {offsetof(curl_calls, easy_setopt), "curl_easy_setopt"},
    {offsetof(curl_calls, easy_getinfo), "curl_easy_getinfo"},
    {offsetof(curl_calls, easy_cleanup), "curl_easy_cleanup"},
    {offsetof(curl_calls, easy_strerror), "curl_easy_strerror"},
    {offsetof(curl_calls, free), "curl_free"},
    {offsetof(curl_calls, slist_append), "curl_slist_append"},
    {offsetof(curl_calls, slist_free_all), "curl_slist_free_all"},
    {offsetof(curl_calls, multi_init), "curl_multi_init"},
    {offsetof(curl_calls, multi_add_handle), "curl_multi_add_handle"},
    {offsetof(curl_calls, multi_remove_handle), "curl_multi_remove_handle"},
    {offsetof(curl_calls, multi_perform), "curl_multi_perform"},
    {offsetof(curl_calls, multi_poll), "curl_multi_poll"},
    {offsetof(curl_calls, multi_info_read), "curl_multi_info_read"},
    {offsetof(curl_calls, multi_cleanup), "curl_multi_cleanup"},
    {offsetof(curl_calls, url), "curl_url"},
    {offsetof(curl_calls, url_set), "curl_url_set"},
    {offsetof(curl_calls, url_get), "curl_url_get"},
    {offsetof(curl_calls, url_cleanup), "curl_url_cleanup"},
};

/* The first is what libcurl has been called since 2006; the second one is the same with another
 * library for encryption. */
static const char *const libraries[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

sl_status curl_calls_load(const curl_calls **calls, sl_error *error) {
    static curl_calls table;
    static bool loaded;
    const char *first = NULL;
    void *library = NULL;
    *calls = &table;
    if (loaded) {
        return SL_OK;
    }
    for (size_t i = 0; i < COUNT_OF(libraries) && !library; i++) {
        const char *reason;
        library = console_library(libraries[i], &reason);
        first = i == 0 ? reason : first;
    }
    if (!library) {
        return error_set(error, SL_ERR_UNSUPPORTED, "fetching needs libcurl: %s",
                         first ? first : "it is not there");
    }
    for (size_t i = 0; i < COUNT_OF(functions); i++) {
        void *const symbol = console_library_symbol(library, functions[i].name);
        if (!symbol) {
            return error_set(error, SL_ERR_UNSUPPORTED,
                             "fetching needs libcurl 7.66 or newer: the one here has no %s",
                             functions[i].name);
        }
        memcpy((char *)&table + functions[i].offset, &symbol, sizeof symbol);
    }
    if (table.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return error_set(error, SL_ERR_MEMORY, "libcurl cannot begin");
    }
    loaded = true;
    return SL_OK;
}

#endif
