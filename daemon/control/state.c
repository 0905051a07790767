/* SPDX-License-Identifier: MIT */
#include "state.h"

#include "errors.h"

void job_begin(struct job *job, struct control *control, struct call *call, void (*free_job)(struct job *job)) {
    *job = (struct job){
        .next = control->jobs, .link = &control->jobs, .control = control, .call = call, .free = free_job
    };
    if (job->next)
        job->next->link = &job->next;
    control->jobs = job;
}

void job_end(struct job *job) {
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    job->free(job);
}

bool selector_parse(struct call *call, const char *flow, const char *source, struct flow_selector *ret) {
    struct flow_selector selector = { .has_flow = flow != NULL, .has_source = source != NULL };

    if (flow && flow_id_parse(flow, &selector.flow) < 0) {
        error_invalid_selector(call, flow, "not a flow id: WORKER.SLOT.GENERATION, as a listing shows it");
        return false;
    }
    if (source && cidr_parse(source, &selector.source) < 0) {
        error_invalid_selector(call, source, "not an address or prefix, or bits are set behind the prefix");
        return false;
    }
    *ret = selector;
    return true;
}
