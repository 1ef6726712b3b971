-- Asynchronous commands with Idempotency-Key and If-Match. A key whose command is stored has no reply until that one ends.
ALTER TABLE weir.idempotency ADD COLUMN stored boolean NOT NULL DEFAULT false; -- command_id is one of weir.command, or reply lists some
ALTER TABLE weir.command ADD COLUMN idempotency_key text, ADD COLUMN expected_version text;
