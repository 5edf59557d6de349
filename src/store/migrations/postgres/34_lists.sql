-- A list with several conditions is read by an index that has all of them, so that rows that do not match are not read.
DROP INDEX shelf_by_age;
DROP INDEX shelf_by_state_and_age;
DROP INDEX shelf_by_reason_and_age;
CREATE INDEX shelf_by_age ON shelf (arrived_at, id, shelved_at);
CREATE INDEX shelf_by_state_and_age ON shelf (state, arrived_at, id, shelved_at, reason);
CREATE INDEX shelf_by_reason_and_age ON shelf (reason, arrived_at, id, shelved_at, state);

-- What follows the first quote of an id, up to the next one. The quotes of other headers are escaped.
CREATE INDEX shelf_by_message_id ON shelf (split_part(split_part(headers, '"message_id":"', 2), '"', 1))
    WHERE strpos(headers, '"message_id":"') > 0;

DROP INDEX audit_by_tenant;
DROP INDEX audit_by_actor;
DROP INDEX audit_by_action;
DROP INDEX audit_by_subject;
DROP INDEX audit_by_batch;
CREATE INDEX audit_by_tenant ON audit (tenant_id, at, id, actor, action);
CREATE INDEX audit_by_actor ON audit (actor, at, id, tenant_id, action);
CREATE INDEX audit_by_action ON audit (action, at, id, tenant_id, actor);
CREATE INDEX audit_by_subject ON audit (subject, at, id, tenant_id, actor, action);
CREATE INDEX audit_by_batch ON audit (tenant_id, batch_id, at, id);
