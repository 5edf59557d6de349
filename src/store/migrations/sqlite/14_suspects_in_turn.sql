-- Suspects are tried in the order in which they are due; one that only waited comes after the others.
CREATE INDEX shelf_suspects_due ON shelf (state, due_at, id) WHERE reason = 'suspect';
