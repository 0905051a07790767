/* SPDX-License-Identifier: MIT */
/*
 * Bytes on the control socket, up to where a handler would take over: messages out of the stream, header, the method's
 * parameters by its table, settings. However the stream is cut, the same messages come out.
 */
#include "fuzz.h"
#include "handlers.h"
#include "setting.h"
#include "varlink.h"

#define LIMIT_BYTES 4096

static const struct method *find_method(const char *name) {
    for (const struct method *m = control_methods; m->name; m++)
        if (streq(m->name, name))
            return m;
    return NULL;
}

static void try_settings(json_t *map) {
    const char *name;
    json_t *value;

    json_object_foreach(map, name, value) {
        const struct setting *row = setting_find(name);
        struct settings set = { 0 };

        if (!row)
            (void) setting_suggest(name);
        else if (json_is_string(value)) {
            _cleanup_free_ char *reason = NULL;
            int r = settings_set_text(&set, row, json_string_value(value), &reason);
            assert(r == 0 || reason);
            settings_done(&set);
        }
    }
}

static void try_call(json_t *message) {
    _Alignas(max_align_t) uint8_t parameters[PARAMETERS_SIZE_MAX] = { 0 };
    const struct method *method;
    struct varlink_call call;
    const char *fault;
    int r;

    r = varlink_call_parse(message, &call);
    if (r < 0) {
        assert(r == -EBADMSG);
        return;
    }
    assert(call.method && !(call.oneway && call.more));
    method = find_method(call.method);
    if (!method)
        return;
    fault = parameters_read(call.parameters, method->parameters, parameters);
    if (!fault && call.parameters)
        try_settings(json_object_get(call.parameters, "settings"));
}

/* What was received, sent: the same message comes out of it, if it fits. */
static void check_encoding(const json_t *message) {
    struct varlink_reader reader = { .limit_bytes = (size_t) 8 * LIMIT_BYTES };
    size_t size, room, done = 0;
    json_t *again = NULL;
    int r = 0;

    _cleanup_free_ char *text = varlink_encode(message, &size);
    assert(text && size > 0 && text[size - 1] == '\0');
    while (done < size && r == 0) {
        void *space = varlink_reader_space(&reader, &room);
        assert(space && room > 0);
        room = MIN(room, size - done);
        memcpy(space, text + done, room);
        varlink_reader_fill(&reader, room);
        done += room;
        r = varlink_reader_next(&reader, &again);
    }
    assert(r == 1 && json_equal(message, again));
    json_decref(again);
    varlink_reader_done(&reader);
}

/* All messages of the stream, cut by `seed` (0: not cut), into a list. Returns how it ended. */
static int read_stream(const uint8_t *data, size_t size, uint32_t seed, json_t *list) {
    struct varlink_reader reader = { .limit_bytes = LIMIT_BYTES };
    int r = 0;

    while (size > 0 && r == 0) {
        json_t *message;
        size_t room, n;
        void *space = varlink_reader_space(&reader, &room);

        assert(space && room > 0);
        n = MIN(room, size);
        if (seed > 0)
            n = MIN(n, 1 + fuzz_random(&seed) % 300);
        memcpy(space, data, n);
        varlink_reader_fill(&reader, n);
        data += n;
        size -= n;
        while ((r = varlink_reader_next(&reader, &message)) == 1)
            (void) json_array_append_new(list, message);
        assert(reader.allocated <= LIMIT_BYTES + 4096);
        varlink_reader_trim(&reader);
    }
    varlink_reader_done(&reader);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint32_t seed = 1 + (uint32_t) fuzz_byte(&data, &size);
    json_t *whole = json_array(), *cut = json_array(), *message;
    int r, cut_r;
    size_t i;

    r = read_stream(data, size, 0, whole);
    cut_r = read_stream(data, size, seed, cut);
    assert(r == 0 || r == -EBADMSG || r == -EMSGSIZE);
    assert(r == cut_r);
    assert(json_equal(whole, cut));
    json_array_foreach(whole, i, message) {
        check_encoding(message);
        try_call(message);
    }
    json_decref(whole);
    json_decref(cut);
    return 0;
}
