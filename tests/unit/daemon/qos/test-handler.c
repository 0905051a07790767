/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include "sockets.h"

/* A socket setting without a handler would be accepted and do nothing. */
static void every_socket_setting_has_one(void **state) {
    const unsigned sockets = CARRIER_LISTENING | CARRIER_STREAM | CARRIER_DATAGRAM;

    for (enum setting_id id = 0; id < SETTING_MAX; id++) {
        const struct setting *row = setting_by_id(id);

        /* One leg at a time: that of the upstream leg is applied under the client's id. */
        if (row->carriers & sockets && row->leg != SETTING_LEG_UPSTREAM)
            assert_non_null(handler_by_id(id));
        else
            assert_null(handler_by_id(id));
    }
}

static void mark_first_priority_last(void **state) {
    size_t n = 0;

    assert_int_equal(handler_row(0)->id, SETTING_DSCP);
    while (handler_row(n))
        n++;
    assert_int_equal(handler_row(n - 1)->id, SETTING_PRIORITY);
}

static void priorities_are_those_of_the_kernel(void **state) {
    for (int tos = 4; tos < 256; tos++) {
        struct qos_socket s = make_socket(AF_INET, SOCK_DGRAM);

        set_int(s.fd, SOL_IP, IP_TOS, tos);
        assert_int_equal(get_int(s.fd, SOL_SOCKET, SO_PRIORITY), priority_from_tos((uint64_t) tos));
        close(s.fd);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_socket_setting_has_one),
        cmocka_unit_test(mark_first_priority_last),
        cmocka_unit_test(priorities_are_those_of_the_kernel),
    };

    return cmocka_run_group_tests_name("handler", tests, NULL, NULL);
}
