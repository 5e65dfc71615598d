/* Any bytes as what a hub or the cache says: a page of the list of files, an index of weights, a
 * manifest. Whatever is taken must be of use: paths that stay inside, files that there are. */
#include "hub/manifest.h"

#include <stdio.h>
#include <stdlib.h>

static void need(bool good) {
    if (!good) {
        abort();
    }
}

static void choose(const hub_listing *list, const char *quant, const uint8_t *bytes, size_t size) {
    hub_choice c;
    sl_error error = {0};
    if (hub_choose(list, quant, &c, &error) != SL_OK) {
        need(error.message[0] != 0);
        return;
    }
    need(c.count > 0 && c.path);
    if (c.index) {
        (void)!hub_choose_indexed(list, bytes, size, &c, &error);
    }
    for (size_t i = 0; i < c.count; i++) {
        need(c.files[i] < list->files.count);
    }
    hub_manifest m = hub_manifest_new(), again;
    char *text;
    snprintf(m.repo, sizeof m.repo, "a/b");
    snprintf(m.commit, sizeof m.commit, "0123456789012345678901234567890123456789");
    need(hub_manifest_put(&m, list, &c, "main", 1, &error) == SL_OK);
    need(hub_manifest_print(&m, &text, &error) == SL_OK);
    need(hub_manifest_parse((const uint8_t *)text, strlen(text), "it", &again, &error) == SL_OK);
    need(again.files.files.count == c.count);
    free(text);
    hub_manifest_free(&again);
    hub_manifest_free(&m);
    hub_choice_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char *const quants[] = {"", "Q4_K_M", "x", "a/b.gguf"};
    hub_listing list = hub_listing_new();
    hub_manifest m;
    sl_error error = {0};
    if (hub_listing_add_page(&list, bytes, size, &error) == SL_OK &&
        hub_listing_sort(&list, &error) == SL_OK) {
        for (size_t i = 0; i < sizeof quants / sizeof quants[0]; i++) {
            choose(&list, quants[i], bytes, size);
        }
    }
    for (size_t i = 0; i < list.files.count; i++) {
        need(hub_path_is_good(str_from(hub_listing_at(&list, i)->path)));
    }
    if (hub_manifest_parse(bytes, size, "it", &m, &error) == SL_OK) {
        const bool any = m.models.count > 0;
        while (m.models.count > 0) {
            const hub_model *const model = hub_manifest_model(&m, 0);
            for (size_t i = 0; i < model->count; i++) {
                need(hub_listing_find(&m.files, model->files[i]) != SIZE_MAX);
            }
            hub_manifest_take(&m, 0);
        }
        need(!any || m.files.files.count == 0);
        hub_manifest_free(&m);
    }
    /* The same bytes as an index, in a repository that has one. */
    static const char *const folder[] = {"a.safetensors", "config.json",
                                         "model.safetensors.index.json"};
    hub_listing_free(&list);
    list = hub_listing_new();
    for (size_t i = 0; i < 3; i++) {
        need(hub_listing_add(&list, str_from(folder[i]), 1, NULL, &error) == SL_OK);
    }
    choose(&list, "", bytes, size);
    hub_listing_free(&list);
    return 0;
}
