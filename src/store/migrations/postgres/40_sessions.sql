-- Sessions of people who entered a token on the console's log-in page. Of a session's secret only its SHA-256 is kept, and what
-- its holder may do is read from the token.
CREATE TABLE sessions (
    hash              TEXT PRIMARY KEY,
    token             TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    used_at           BIGINT NOT NULL
);

CREATE INDEX sessions_by_time ON sessions (created_at);
