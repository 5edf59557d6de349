-- The pushes whose ids are far apart. Where ids do not ascend, what holds some ids is sought for every create request: all other
-- pushes that may hold them have a last id near theirs.
CREATE INDEX pushes_wide ON pushes (account, last_id) WHERE last_id - first_id > 500;
