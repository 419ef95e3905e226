-- What a workspace spent on the days that are over, so that no budget of a month sums up all its calls.
CREATE TABLE spent_day(
    team_id text COLLATE "C" NOT NULL,
    day bigint NOT NULL,                         -- when it began, in UTC
    micro_usd bigint NOT NULL,
    PRIMARY KEY (team_id, day)
);
