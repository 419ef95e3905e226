-- What a workspace spent on the days that are over, so that no budget of a month sums up all its calls.
CREATE TABLE spent_day(
    team_id TEXT NOT NULL,
    day INTEGER NOT NULL,                        -- when it began, in UTC
    micro_usd INTEGER NOT NULL,
    PRIMARY KEY (team_id, day)
) STRICT, WITHOUT ROWID;
