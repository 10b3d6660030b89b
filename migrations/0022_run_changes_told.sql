CREATE OR REPLACE FUNCTION note_run_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		UPDATE run_changes SET xid = pg_current_xact_id(), deleted = true WHERE run_id = OLD.id;
	ELSE
		INSERT INTO run_changes (run_id, kind, xid) VALUES (NEW.id, NEW.kind, pg_current_xact_id())
		ON CONFLICT (run_id) DO UPDATE SET xid = excluded.xid;
	END IF;
	-- Of one transaction only one of these is sent, at its end.
	PERFORM pg_notify('run_changes', '');
	RETURN NULL;
END
$$;
