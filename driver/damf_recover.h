/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_RECOVER_H__
#define __DAMF_RECOVER_H__

#include <linux/workqueue.h>

#define DAMF_RECOVER_TIMEOUT_MS	5000

struct damf_task;

void damf_vm_recover_work(struct work_struct *work);
void damf_task_late(struct damf_task *task);

#endif /* __DAMF_RECOVER_H__ */
