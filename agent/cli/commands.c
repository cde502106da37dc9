#include "cmd.h"

/* A line in the overview; it has no name, so nothing finds it. */
#define HEADING(text) &(const struct cmd){ .name = "", .help = text }

#define COMMANDS(X)          \
	X("Tasks")           \
	C(submit)            \
	C(task_list)         \
	C(task_show)         \
	C(task_children)     \
	C(task_cancel)       \
	C(task_dead)         \
	C(task_retry)        \
	C(logs)              \
	C(watch)             \
	C(top)               \
	C(telemetry)         \
	C(outbox_list)       \
	C(outbox_send)       \
	C(schedule_list)     \
	C(schedule_show)     \
	C(schedule_next)     \
	C(schedule_add)      \
	C(schedule_remove)   \
	C(schedule_pause)    \
	C(schedule_resume)   \
	C(breaker_list)      \
	C(breaker_open)      \
	C(breaker_close)     \
	X("Alerts")          \
	C(alerts)            \
	C(alerts_ack)        \
	C(alerts_silence)    \
	C(alerts_rules)      \
	C(alerts_deliver)    \
	X("Houses")          \
	C(dashboard)         \
	C(house_list)        \
	C(house_move)        \
	C(drill)             \
	C(allegro)           \
	C(allegro_suggest)   \
	C(agent)             \
	C(agent_log_level)   \
	X("Sovereignty")     \
	C(approvals)         \
	C(approve)           \
	C(deny)              \
	C(halt)              \
	C(resume)            \
	C(grant_add)         \
	C(grant_list)        \
	C(grant_revoke)      \
	C(policy_show)       \
	C(policy_check)      \
	C(policy_sign)       \
	C(key_init)          \
	C(key_show)          \
	C(key_rotate)        \
	X("Audit")           \
	C(audit_show)        \
	C(audit_verify)      \
	C(audit_export)      \
	X("Sharing")         \
	C(artifact_put)      \
	C(artifact_get)      \
	C(artifact_list)     \
	C(artifact_verify)   \
	C(artifact_prune)    \
	C(sync_setup)        \
	C(sync_status)       \
	C(sync_publish)      \
	X("Intelligence")    \
	C(predict)           \
	C(intelligence_report) \
	C(intelligence_show) \
	C(intelligence_freeze) \
	C(intelligence_thaw) \
	C(intelligence_reset) \
	C(intelligence_import) \
	X("Hermes")          \
	C(hermes_tail)       \
	X("Tools")           \
	C(tool_list)         \
	C(tool_show)         \
	C(test)              \
	C(mcp)               \
	X("Set-up")          \
	C(init)              \
	C(host_add)          \
	C(host_list)         \
	C(host_upgrade)      \
	C(host_rotate_cert)  \
	C(host_remove)       \
	C(host_cloud_init)   \
	C(config_check)      \
	C(config_keys)       \
	C(pki_init)          \
	C(pki_issue)         \
	C(pki_renew)         \
	C(pki_revoke)        \
	C(pki_show)          \
	C(broker_config)     \
	C(completion)        \
	C(man)               \
	X("Upkeep")          \
	C(doctor)            \
	C(health)            \
	C(maintenance)       \
	C(support_bundle)    \
	C(backup)            \
	C(backup_list)       \
	C(backup_verify)     \
	C(backup_key)        \
	C(restore)           \
	X("A cluster on this machine") \
	C(cluster_up)        \
	C(cluster_status)    \
	C(cluster_down)      \
	C(cluster_start)     \
	C(cluster_stop)      \
	C(cluster_restart)   \
	C(cluster_kill)      \
	C(cluster_freeze)    \
	C(cluster_thaw)      \
	C(worker)            \
	C(bridge)            \
	C(complete)

#define X(text)
#define C(name) extern const struct cmd cmd_##name;
COMMANDS(X)
#undef C
#undef X

/* In the order of the overview. */
const struct cmd *const commands[] = {
#define X(text) HEADING(text),
#define C(name) &cmd_##name,
	COMMANDS(X)
#undef C
#undef X
	NULL,
};
