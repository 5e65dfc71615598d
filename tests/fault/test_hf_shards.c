/* A Hugging Face model in three shards that is larger than its memory: the bits are those of the
 * same model with all the memory there is; and a shard that is written to, cut or removed while the
 * model is in use. */
#include "sluice.h"

#include "base/random.h"
#include "base/size.h"
#include "quant/half.h"
#include "support/byte_list.h"
#include "support/temp_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { N_EMBD = 512, N_KV = 256, N_FF = 1024, N_VOCAB = 600, N_LAYER = 3, N_TOKEN = 12 };

static const int32_t text[N_TOKEN] = {7, 3, 1, 200, 256, 0, 99, 5, 42, 17, 599, 300};

static const char config[] =
    "{\"model_type\":\"llama\",\"hidden_size\":512,\"intermediate_size\":1024,"
    "\"num_hidden_layers\":3,\"num_attention_heads\":8,\"num_key_value_heads\":4,"
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true}";

/* ---- the model ------------------------------------------------------------------------------ */

typedef struct shard {
    char header[8192];
    byte_list data;
} shard;

static void add(shard *s, random_state *rng, const char *name, size_t rows, size_t columns) {
    const size_t begin = s->data.count, count = rows * (columns ? columns : 1);
    char shape[64];
    snprintf(shape, sizeof shape, columns ? "[%zu,%zu]" : "[%zu]", rows, columns);
    for (size_t i = 0; i < count; i++) {
        const double value = columns ? (random_unit(rng) - 0.5) / 8 : 1 + random_unit(rng);
        byte_list_number(&s->data, half_to_f16((float)value), 2);
    }
    const size_t used = strlen(s->header);
    snprintf(s->header + used, sizeof s->header - used,
             "%s\"%s\":{\"dtype\":\"F16\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
             used > 1 ? "," : "", name, shape, begin, s->data.count);
}

static void add_layer(shard *s, random_state *rng, int layer) {
    static const struct {
        const char *name;
        size_t rows, columns;
    } tensors[] = {
        {"input_layernorm", N_EMBD, 0},       {"post_attention_layernorm", N_EMBD, 0},
        {"self_attn.q_proj", N_EMBD, N_EMBD}, {"self_attn.k_proj", N_KV, N_EMBD},
        {"self_attn.v_proj", N_KV, N_EMBD},   {"self_attn.o_proj", N_EMBD, N_EMBD},
        {"mlp.gate_proj", N_FF, N_EMBD},      {"mlp.up_proj", N_FF, N_EMBD},
        {"mlp.down_proj", N_EMBD, N_FF},
    };
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        char name[100];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, tensors[i].name);
        add(s, rng, name, tensors[i].rows, tensors[i].columns);
    }
}

/* Writes the shard and appends its tensors' names to the index. */
static void write_shard(const temp_folder *folder, int number, shard *s, byte_list *index) {
    char name[64];
    snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", number, N_LAYER);
    byte_list file = {0};
    byte_list_number(&file, strlen(s->header) + 1, 8);
    byte_list_text(&file, s->header);
    byte_list_text(&file, "}");
    byte_list_add(&file, s->data.data, s->data.count);
    temp_folder_write(folder, name, file.data, file.count);
    for (const char *at = strstr(s->header, "\"model."); at; at = strstr(at + 1, "\"model.")) {
        byte_list_text(index, index->count > 20 ? "," : "");
        byte_list_add(index, at, (size_t)(strchr(at + 1, '"') + 1 - at));
        byte_list_text(index, ":\"");
        byte_list_text(index, name);
        byte_list_text(index, "\"");
    }
    byte_list_free(&file);
    byte_list_free(&s->data);
}

static temp_folder make_model(void) {
    const temp_folder folder = temp_folder_make();
    random_state rng;
    random_seed(&rng, 11);
    byte_list index = {0};
    byte_list_text(&index, "{\"weight_map\":{");
    for (int i = 0; i < N_LAYER; i++) {
        shard s = {.header = "{"};
        add_layer(&s, &rng, i);
        if (i == 0) {
            add(&s, &rng, "model.embed_tokens.weight", N_VOCAB, N_EMBD);
            add(&s, &rng, "model.norm.weight", N_EMBD, 0);
        }
        write_shard(&folder, i + 1, &s, &index);
    }
    byte_list_text(&index, "}}");
    temp_folder_write(&folder, "model.safetensors.index.json", index.data, index.count);
    temp_folder_write(&folder, "config.json", config, sizeof config - 1);
    byte_list_free(&index);
    return folder;
}

/* ---- its use -------------------------------------------------------------------------------- */

typedef struct user {
    sl_model *model;
    sl_session *session;
} user;

static sl_status open_within(const char *path, uint64_t budget, user *u, sl_error *error) {
    const sl_model_options how = {.memory_budget = budget};
    const sl_session_options options = {.n_ctx = 16, .threads = 2, .n_batch = 4};
    sl_status status = sl_model_load(path, &how, &u->model, error);
    if (status == SL_OK && (status = sl_session_create(u->model, &options, &u->session, error))) {
        sl_model_free(u->model);
    }
    return status;
}

/* With the least memory that it asks for, or with all there is. */
static user start(const temp_folder *folder, bool streamed) {
    user u;
    sl_error error;
    sl_model_info info;
    uint64_t budget = streamed ? 1 : 0;
    while (open_within(folder->path, budget << 20, &u, &error) != SL_OK) {
        const char *needs = strstr(error.message, "needs ");
        if (!needs) {
            fail_msg("%s", error.message);
        }
        budget = strtoull(needs + 6, NULL, 10);
    }
    sl_model_get_info(u.model, &info);
    assert_int_equal(info.streamed_bytes > 0, streamed);
    return u;
}

static void stop(user *u) {
    sl_session_free(u->session);
    sl_model_free(u->model);
}

static void streamed_bits_are_the_same(void **state) {
    (void)state;
    static float whole[N_VOCAB];
    sl_error error;
    const temp_folder folder = make_model();
    user u = start(&folder, false);
    assert_int_equal(sl_session_eval(u.session, text, N_TOKEN, NULL, NULL, &error), SL_OK);
    memcpy(whole, sl_session_logits(u.session), sizeof whole);
    stop(&u);
    u = start(&folder, true);
    assert_int_equal(sl_session_eval(u.session, text, N_TOKEN, NULL, NULL, &error), SL_OK);
    assert_memory_equal(whole, sl_session_logits(u.session), sizeof whole);
    stop(&u);
    temp_folder_remove(&folder);
}

typedef enum change { WRITE, CUT, REMOVE } change;

static void change_shard(const temp_folder *folder, change what) {
    const char *path = temp_folder_path(folder, "model-00002-of-00003.safetensors");
    if (what == REMOVE) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    if (what == CUT) {
        assert_int_equal(ftruncate(fd, 100000), 0);
    } else {
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 12345}};
        assert_int_equal(pwrite(fd, "x", 1, 2000000), 1);
        assert_int_equal(futimens(fd, times), 0);
    }
    close(fd);
}

static void changes_underneath_are_noticed(void **state) {
    (void)state;
    sl_guard_mappings();
    for (int streamed = 0; streamed < 2; streamed++) {
        for (int what = WRITE; what <= REMOVE; what++) {
            sl_error error = {0};
            const temp_folder folder = make_model();
            user u = start(&folder, streamed);
            assert_int_equal(sl_session_eval(u.session, text, 4, NULL, NULL, &error), SL_OK);
            change_shard(&folder, (change)what);
            const sl_status status = sl_session_eval(u.session, text, N_TOKEN, NULL, NULL, &error);
            if (what == REMOVE) { /* a file that is open stays */
                assert_int_equal(status, SL_OK);
            } else {
                assert_int_not_equal(status, SL_OK);
                print_message("  %s, %s: %s\n", streamed ? "streamed" : "whole",
                              what == WRITE ? "written to" : "cut", error.message);
                assert_non_null(strstr(error.message, "model-00002-of-00003.safetensors"));
            }
            stop(&u);
            temp_folder_remove(&folder);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streamed_bits_are_the_same),
        cmocka_unit_test(changes_underneath_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
