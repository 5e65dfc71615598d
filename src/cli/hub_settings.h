/* hub_settings.h - the hub and the cache of models, as the environment says.
 *
 *   cache      $SLUICE_CACHE, or $XDG_CACHE_HOME/sluice/models, or ~/.cache/sluice/models
 *   endpoint   $HF_ENDPOINT, or https://huggingface.co
 *   token      $HF_TOKEN, or the file token in $HF_HOME, or in ~/.cache/huggingface
 *   authorities: those in the file $SSL_CERT_FILE, or the system's
 */
#ifndef CLI_HUB_SETTINGS_H
#define CLI_HUB_SETTINGS_H

/* The cache's folder; NULL, after a message, if no variable names one. Static storage. */
const char *hub_settings_cache(void);

const char *hub_settings_endpoint(void);

/* NULL if there is none. Static storage. */
const char *hub_settings_token(void);

/* The file of certificates by which those of servers are judged; NULL: the system's. */
const char *hub_settings_authorities(void);

/* Where *model names no file but looks like user/repo[:quant], makes it the path of that model in
 * the cache, which lives as long as *found, for free(). An existing file or folder always wins. The
 * net is not asked. Returns CLI_DONE, or the exit status after a message. */
int hub_settings_resolve(const char **model, char **found);

#endif
