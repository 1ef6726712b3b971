-- On whose behalf an asynchronous command is executed; all NULL where authentication is off.
ALTER TABLE weir.command ADD COLUMN role text, ADD COLUMN claims text, ADD COLUMN caller text;
