/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow.h"

/* ---- ids as text ---- */

static void assert_round_trip(struct flow_id id, const char *expected) {
    char text[FLOW_ID_TEXT_MAX];
    struct flow_id back;

    assert_string_equal(flow_id_format(id, text), expected);
    assert_int_equal(flow_id_parse(text, &back), 0);
    assert_int_equal(back.worker, id.worker);
    assert_int_equal(back.slot, id.slot);
    assert_int_equal(back.generation, id.generation);
}

static void test_ids_as_text_and_back(void **state) {
    assert_round_trip((struct flow_id){ 0, 0, 0 }, "0.0.0");
    assert_round_trip((struct flow_id){ 3, 17, 4 }, "3.17.4");
    assert_round_trip((struct flow_id){ UINT16_MAX, UINT32_MAX, UINT32_MAX }, "65535.4294967295.4294967295");
}

static void test_bad_texts(void **state) {
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "1",
        "1.2",
        "1.2.",
        "1.2.3.",
        "1.2.3.4",
        ".1.2",
        "1..2",
        "1.2.3 ",
        " 1.2.3",
        "1. 2.3",
        "-1.2.3",
        "1.-2.3",
        "+1.2.3",
        "1.2.x",
        "0x1.2.3",
        "65536.0.0",
        "0.4294967296.0",
        "0.0.4294967296",
        "1,2,3",
        "1.2.3\n",
        "99999999999999999999999.0.0",
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct flow_id id = { 7, 8, 9 };

        if (flow_id_parse(bad[i], &id) != -EINVAL)
            fail_msg("'%s' was taken as a flow id", bad[i]);
        assert_int_equal(id.worker, 7);
        assert_int_equal(id.slot, 8);
        assert_int_equal(id.generation, 9);
    }
}

static void test_states_have_names(void **state) {
    for (enum flow_state s = 0; s < FLOW_STATE_MAX; s++)
        assert_non_null(flow_state_name(s));
    assert_string_equal(flow_state_name(FLOW_OPEN), "open");
    assert_string_equal(flow_state_name(FLOW_LINGERING), "lingering");
}

/* ---- slots ---- */

static struct flow_table table;

static int setup(void **state) {
    table = (struct flow_table){ .worker = 5 };
    return 0;
}

static int teardown(void **state) {
    flow_table_done(&table);
    return 0;
}

static struct flow *take(void) {
    struct flow *f = flow_table_take(&table);

    assert_non_null(f);
    f->state = FLOW_OPEN;
    return f;
}

static void test_an_empty_table_has_nothing(void **state) {
    assert_int_equal(flow_table_slots(&table), 0);
    assert_null(flow_table_find(&table, (struct flow_id){ 5, 0, 0 }));
    assert_null(flow_table_find(&table, (struct flow_id){ 5, UINT32_MAX, 1 }));
}

static void test_a_flow_is_found_by_its_id_only(void **state) {
    struct flow *f = take();
    struct flow_id id = f->id;

    assert_int_equal(id.worker, 5);
    assert_ptr_equal(flow_table_find(&table, id), f);
    assert_null(flow_table_find(&table, (struct flow_id){ 5, id.slot, id.generation + 1 }));
    assert_null(flow_table_find(&table, (struct flow_id){ 5, id.slot + 1, id.generation })); /* free */
    assert_null(flow_table_find(&table, (struct flow_id){ 5, FLOW_CHUNK, 1 }));              /* never was */
    flow_table_give(&table, f);
    assert_null(flow_table_find(&table, id));
}

static void test_a_slot_that_is_used_again_is_another_flow(void **state) {
    struct flow *f = take(), *again;
    struct flow_id first = f->id;

    f->payloads = 77;
    f->client.rx_bytes = 78;
    flow_table_give(&table, f);
    again = take();
    assert_ptr_equal(again, f);
    assert_int_equal(again->id.slot, first.slot);
    assert_int_not_equal(again->id.generation, first.generation);
    assert_int_equal(again->payloads, 0); /* nothing of its predecessor */
    assert_int_equal(again->client.rx_bytes, 0);
    assert_null(flow_table_find(&table, first));
    assert_ptr_equal(flow_table_find(&table, again->id), again);
}

static void test_growing_moves_nobody(void **state) {
    struct flow *all[5 * FLOW_CHUNK];

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        all[i] = take();
    assert_int_equal(table.n_used, ARRAY_SIZE(all));
    assert_int_equal(flow_table_slots(&table), ARRAY_SIZE(all));
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        assert_ptr_equal(flow_table_find(&table, all[i]->id), all[i]);
}

static void test_a_sweep_by_slot_meets_each_flow_once(void **state) {
    struct flow *all[3 * FLOW_CHUNK];
    uint64_t met = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        all[i] = take();
        all[i]->payloads = i;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(all); i += 2)
        flow_table_give(&table, all[i]);
    for (uint32_t slot = 0; slot < flow_table_slots(&table); slot++) {
        struct flow *f = flow_table_at(&table, slot);

        if (!f)
            continue;
        assert_int_equal(f->id.slot, slot);
        assert_int_equal(f->payloads % 2, 1);
        met++;
    }
    assert_int_equal(met, ARRAY_SIZE(all) / 2);
    assert_int_equal(table.n_used, met);
}

static void test_the_first_flows_have_the_first_slots(void **state) {
    for (uint32_t i = 0; i < 2 * FLOW_CHUNK; i++)
        assert_int_equal(take()->id.slot, i);
}

static void test_a_taken_slot_shows_only_when_it_is_opened(void **state) {
    struct flow *f = flow_table_take(&table);

    assert_non_null(f);
    assert_null(flow_table_at(&table, f->id.slot));
    assert_null(flow_table_find(&table, f->id));
    flow_table_give(&table, f);
    assert_int_equal(table.n_used, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_as_text_and_back),
        cmocka_unit_test(test_bad_texts),
        cmocka_unit_test(test_states_have_names),
        cmocka_unit_test_setup_teardown(test_an_empty_table_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_flow_is_found_by_its_id_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slot_that_is_used_again_is_another_flow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growing_moves_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_sweep_by_slot_meets_each_flow_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_flows_have_the_first_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_taken_slot_shows_only_when_it_is_opened, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
