PRAGMA application_id = 1819045227;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE labels (code INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
INSERT INTO "labels" VALUES(1,'cpu');
INSERT INTO "labels" VALUES(2,'done');
INSERT INTO "labels" VALUES(3,'eos');
INSERT INTO "labels" VALUES(4,'scripted');
INSERT INTO "labels" VALUES(5,'session-1');
INSERT INTO "labels" VALUES(6,'small');
INSERT INTO "labels" VALUES(7,'stop');
INSERT INTO "labels" VALUES(8,'Stop was pressed');
INSERT INTO "labels" VALUES(9,'cancelled');
INSERT INTO "labels" VALUES(10,'error');
INSERT INTO "labels" VALUES(11,'failed');
INSERT INTO "labels" VALUES(12,'lärge "''‮');
INSERT INTO "labels" VALUES(13,'timeout');
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
INSERT INTO "runs" VALUES(1,X'000000000000F87F000000000000F87F00000000000020400000000000002040000000000000004000000060B813DA41000000000000E03F000000000000F03F00008060B813DA410000000000001040000000000000F87F0000000000001C4000000000000008400000000000002840000000000000F87F000000000000F87F0000000000001840000000000000104000000000000008400000000084D7A7419A9999999999C93F00000000000028400000000000003440000000000000F87F0000000000000840000000000000F87F000000000000F03F0000E0FFFFFFEF4100000000000014400000000000000040000000000000F03F000000000000F03F000000000000E03F000000000000F87F000000000000D03F0000000000001840000000000000F87F666666666666EE3F000000000000E83F0000000000002E40','run-done','session-1',1750000000.0,1750000002.0,'small','scripted','done','elsewhere',1,1700000000.0,'stop','eos',NULL,NULL,NULL,1,12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,0.5,0.95,NULL,1,'Why?','Because.','Hm.','{"topic": "skies"}','{"max_output_tokens": null, "temperature": 0.5, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "stop": [], "seed": null, "logit_bias": {}, "logprobs": null, "reasoning": null, "reasoning_budget": null, "timeout": {"total": null, "step": null, "chunk": null}, "max_retries": 2}','[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]');
INSERT INTO "runs" VALUES(2,X'0000000000002040000000000000F87F00000000000020400000000000002040000000000000004000004061B813DA41000000000000E03F000000000000F03F00008061B813DA410000000000001040000000000000F87F000000000000224000000000000008400000000000002840000000000000F87F000000000000F87F0000000000001840000000000000104000000000000008400000000084D7A7419A9999999999C93F00000000000028400000000000003440000000000000F87F000000000000F87F000000000000F87F000000000000F03F0000E0FFFFFFEF41000000000000144000000000000022400000000000000000000000000000F03F000000000000E03F000000000000F87F000000000000D03F0000000000001840000000000000F87F666666666666EE3F000000000000E83F0000000000002E40','run-cancelled','session-1',1750000005.0,1750000006.0,'small','scripted','cancelled','elsewhere',1,1700000000.0,'cancelled',NULL,NULL,NULL,'Stop was pressed',0,12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,0.5,0.95,NULL,1,'Why?','Bec','',NULL,'{"max_output_tokens": null, "temperature": 0.5, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "stop": [], "seed": null, "logit_bias": {}, "logprobs": null, "reasoning": null, "reasoning_budget": null, "timeout": {"total": null, "step": null, "chunk": null}, "max_retries": 2}','[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]');
INSERT INTO "runs" VALUES(3,X'000000000000F87F000000000000F87F0000000000002040000000000000204000000000000000400000C061B813DA41000000000000E03F000000000000F03F00000062B813DA4100000000000010400000000000002A40000000000000244000000000000008400000000000002840000000000000F87F000000000000F87F0000000000002840000000000000104000000000000008400000000084D7A7419A9999999999C93F00000000000028400000000000003440000000000000F87F000000000000F87F000000000000F87F000000000000F03F0000E0FFFFFFEF41000000000000144000000000000026400000000000000000000000000000F03F000000000000E03F000000000000F87F000000000000D03F0000000000001840000000000000F87F666666666666EE3F000000000000E83F0000000000002E40','run-failed','session-1',1750000007.0,1750000008.0,'lärge "''‮','scripted','failed','elsewhere',1,1700000000.0,'error',NULL,'timeout','It took too long. Raise timeout=.',NULL,0,12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,0.5,0.95,NULL,1,'Why?','','',NULL,'{"max_output_tokens": null, "temperature": 0.5, "top_p": 0.95, "top_k": 0, "min_p": 0.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "repetition_penalty": 1.0, "stop": [], "seed": null, "logit_bias": {}, "logprobs": null, "reasoning": null, "reasoning_budget": null, "timeout": {"total": null, "step": null, "chunk": null}, "max_retries": 2}','[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]');
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
INSERT INTO "steps" VALUES(1,0,1750000000.0,'response-0','small','stop','eos',12,3,15,4,8,NULL,NULL,1,12,8,3,0.25,NULL,NULL,0.2,0.5,NULL,NULL,0.75,6.0,20.0,200000000,2,'cpu',4294967295,'Because.','',NULL,'Because.');
CREATE TABLE tokens (
        run INTEGER NOT NULL REFERENCES runs (key), step INTEGER NOT NULL, position INTEGER NOT NULL,
        token_id INTEGER, text TEXT, logprob REAL, alternatives TEXT,
        PRIMARY KEY (run, step, position)
    ) WITHOUT ROWID
    ;
INSERT INTO "tokens" VALUES(1,0,0,7,'Hel',-0.5,'[{"id": 7, "text": "Hel", "logprob": -0.5}, {"id": 9, "text": "Hi", "logprob": -1.5}]');
INSERT INTO "tokens" VALUES(1,0,1,8,'lo',-0.25,NULL);
CREATE INDEX runs_by_id ON runs (run_id);
CREATE INDEX runs_by_session ON runs (session_id);
CREATE INDEX runs_by_time ON runs (created);
CREATE INDEX runs_running ON runs (host) WHERE status = 'running';
CREATE INDEX runs_without_image ON runs (key) WHERE image IS NULL;
CREATE TRIGGER runs_changed AFTER UPDATE ON runs WHEN NEW.image IS OLD.image AND NEW.image IS NOT NULL
    BEGIN UPDATE runs SET image = NULL WHERE key = NEW.key; END;
COMMIT;
