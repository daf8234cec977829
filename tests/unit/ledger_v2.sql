PRAGMA application_id = 1819045227;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE approvals (
        run INTEGER NOT NULL REFERENCES runs (key), number INTEGER NOT NULL,
        step INTEGER, requested REAL, decided REAL, waited REAL, accepted INTEGER, edited INTEGER,
        call_id TEXT, tool TEXT, verdict TEXT, decided_by TEXT, request_reason TEXT, reason TEXT, refusal TEXT,
        shown_arguments TEXT, executed_arguments TEXT,
        UNIQUE (run, number)
    );
INSERT INTO "approvals" VALUES(1,0,0,1750000009.0,1750000010.0,0.5,1,1,'1','get_weather','allow','panel',NULL,NULL,NULL,'{"city": "Tokyo"}','{"city": "Tokyo"}');
CREATE TABLE labels (code INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
INSERT INTO "labels" VALUES(1,'cpu');
INSERT INTO "labels" VALUES(2,'done');
INSERT INTO "labels" VALUES(3,'eos');
INSERT INTO "labels" VALUES(4,'scripted');
INSERT INTO "labels" VALUES(5,'session-1');
INSERT INTO "labels" VALUES(6,'small');
INSERT INTO "labels" VALUES(7,'stop');
INSERT INTO "labels" VALUES(8,'error');
INSERT INTO "labels" VALUES(9,'failed');
INSERT INTO "labels" VALUES(10,'lärge "''‮');
INSERT INTO "labels" VALUES(11,'timeout');
CREATE TABLE runs (
        key INTEGER PRIMARY KEY,
        image BLOB,
        run_id TEXT NOT NULL, session_id TEXT NOT NULL, created REAL NOT NULL, ended REAL,
        model TEXT, engine TEXT, status TEXT NOT NULL,
        host TEXT, pid INTEGER, process_started REAL,
        finish_reason TEXT, raw_finish_reason TEXT, error_code TEXT, error_message TEXT, abort_reason TEXT,
        step_count INTEGER, 
    input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER, no_cache_tokens INTEGER,
    cache_read_tokens INTEGER, text_tokens INTEGER, reasoning_tokens INTEGER, requests INTEGER, 
    prompt_tokens INTEGER, cache_tokens INTEGER, generated_tokens INTEGER,
    time_to_first_token REAL, queue_time REAL, load_time REAL, prefill_time REAL, decode_time REAL,
    tool_time REAL, approval_time REAL, total_time REAL, tokens_per_second REAL, prompt_tokens_per_second REAL,
    peak_memory INTEGER, concurrency INTEGER, device TEXT, seed INTEGER,
        temperature REAL, top_p REAL, max_output_tokens INTEGER, stream INTEGER,
        prompt TEXT, text TEXT, reasoning TEXT, metadata TEXT, settings TEXT, messages TEXT
    );
INSERT INTO "runs" VALUES(1,NULL,'run-tools','session-1',1750000000.5,1750000012.5,'small','scripted','done','elsewhere',1,1700000000.0,'stop','eos',NULL,NULL,NULL,1,12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,0.5,0.95,NULL,1,'Why?','Let me see.','','{"topic": "skies"}','{"max_output_tokens": null, "temperature": 0.5, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "stop": [], "seed": null, "logit_bias": {}, "logprobs": null, "reasoning": null, "reasoning_budget": null, "timeout": {"total": null, "step": null, "chunk": null}, "max_retries": 2}','[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]');
INSERT INTO "runs" VALUES(2,NULL,'run-failed','session-1',1750000013.0,1750000015.0,'lärge "''‮','scripted','failed','elsewhere',1,1700000000.0,'error',NULL,'timeout','It took too long. Raise timeout=.',NULL,0,12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,0.5,0.95,NULL,1,'Why?','Be','',NULL,'{"max_output_tokens": null, "temperature": 0.5, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "stop": [], "seed": null, "logit_bias": {}, "logprobs": null, "reasoning": null, "reasoning_budget": null, "timeout": {"total": null, "step": null, "chunk": null}, "max_retries": 2}','[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]');
CREATE TABLE steps (
        run INTEGER NOT NULL REFERENCES runs (key), step INTEGER NOT NULL,
        created REAL, response_id TEXT, model TEXT, finish_reason TEXT, raw_finish_reason TEXT, 
    input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER, no_cache_tokens INTEGER,
    cache_read_tokens INTEGER, text_tokens INTEGER, reasoning_tokens INTEGER, requests INTEGER, 
    prompt_tokens INTEGER, cache_tokens INTEGER, generated_tokens INTEGER,
    time_to_first_token REAL, queue_time REAL, load_time REAL, prefill_time REAL, decode_time REAL,
    tool_time REAL, approval_time REAL, total_time REAL, tokens_per_second REAL, prompt_tokens_per_second REAL,
    peak_memory INTEGER, concurrency INTEGER, device TEXT, seed INTEGER,
        text TEXT, reasoning TEXT, warnings TEXT, raw_text TEXT,
        UNIQUE (run, step)
    );
INSERT INTO "steps" VALUES(1,0,1750000000.0,'response-0','small','stop','eos',12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,'Let me see.','',NULL,'Let me see.');
CREATE TABLE tokens (
        run INTEGER NOT NULL REFERENCES runs (key), step INTEGER NOT NULL, position INTEGER NOT NULL,
        token_id INTEGER, text TEXT, logprob REAL, alternatives TEXT,
        PRIMARY KEY (run, step, position)
    ) WITHOUT ROWID
    ;
INSERT INTO "tokens" VALUES(1,0,0,7,'Hel',-0.5,'[{"id": 7, "text": "Hel", "logprob": -0.5}, {"id": 9, "text": "Hi", "logprob": -1.5}]');
INSERT INTO "tokens" VALUES(1,0,1,8,'lo',-0.25,NULL);
CREATE TABLE tool_calls (
        run INTEGER NOT NULL REFERENCES runs (key), number INTEGER NOT NULL,
        step INTEGER, created REAL, started REAL, ended REAL, duration REAL, approval_time REAL, executions INTEGER,
        call_id TEXT, tool TEXT, outcome TEXT, decided_by TEXT, error_code TEXT, error_message TEXT, error TEXT,
        arguments TEXT, executed_arguments TEXT, output TEXT, printed TEXT, raw TEXT,
        UNIQUE (run, number)
    );
INSERT INTO "tool_calls" VALUES(1,0,0,1750000008.5,1750000011.0,1750000011.5,0.25,0.5,1,'1','get_weather','success','panel',NULL,NULL,NULL,'{"city": "Tokyo"}','{"city": "Tokyo"}','{"temperature": 22}',NULL,'<call>get_weather</call>');
CREATE INDEX runs_by_id ON runs (run_id);
CREATE INDEX runs_by_session ON runs (session_id);
CREATE INDEX runs_by_time ON runs (created);
CREATE INDEX runs_running ON runs (host) WHERE status = 'running';
CREATE INDEX runs_without_image ON runs (key) WHERE image IS NULL;
CREATE TRIGGER runs_changed AFTER UPDATE ON runs WHEN NEW.image IS OLD.image AND NEW.image IS NOT NULL
    BEGIN UPDATE runs SET image = NULL WHERE key = NEW.key; END;
CREATE INDEX tool_calls_pending ON tool_calls (run) WHERE outcome = 'pending';
COMMIT;
