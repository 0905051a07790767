/* SPDX-License-Identifier: MIT */
#include "field.h"

#include <stdio.h>

const char *field_text(const json_t *o, const char *name) {
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

int64_t field_number(const json_t *o, const char *name) {
    return json_integer_value(json_object_get(o, name));
}

bool field_has(const json_t *o, const char *name) {
    const json_t *v = json_object_get(o, name);
    return v && !json_is_null(v);
}

char *field_join(const json_t *o, const char *name, const char *separator) {
    const json_t *array = json_object_get(o, name);
    json_t *item;
    char *text = NULL;
    size_t size, i;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    json_array_foreach(array, i, item) {
        const char *s = json_string_value(item);
        fprintf(f, "%s%s", i > 0 ? separator : "", s ? s : "");
    }
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}
