/* curl_calls.h - libcurl, loaded when something is to be fetched.
 *
 * It brings some thirty libraries with it, which would cost every run of the command seven
 * milliseconds and some memory. So it is opened by name, and its functions are called through this
 * table; its header says their types.
 */
#ifndef HUB_CURL_CALLS_H
#define HUB_CURL_CALLS_H

#include "sluice.h"

#define CURL_DISABLE_TYPECHECK /* these are macros around the names of functions */
#include <curl/curl.h>

typedef struct curl_calls {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_free) free;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_poll) multi_poll;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_url) url;
    __typeof__(&curl_url_set) url_set;
    __typeof__(&curl_url_get) url_get;
    __typeof__(&curl_url_cleanup) url_cleanup;
} curl_calls;

/* The table, filled at the first call. SL_ERR_UNSUPPORTED, with the reason, if there is no such
 * library here. */
SL_CHECK sl_status curl_calls_load(const curl_calls **calls, sl_error *error);

#endif
