CREATE TABLE "run_changes" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"xid" "xid8" NOT NULL,
	"deleted" boolean DEFAULT false NOT NULL
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "last_metrics" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
CREATE INDEX "run_changes_xid" ON "run_changes" USING btree ("xid","run_id");
--> statement-breakpoint
UPDATE "runs" r SET "last_metrics" = coalesce((
	WITH RECURSIVE series (name) AS (
		(SELECT m.name FROM "metric_points" m WHERE m.run_id = r.id ORDER BY m.name LIMIT 1)
		UNION ALL
		SELECT (SELECT m.name FROM "metric_points" m WHERE m.run_id = r.id AND m.name > s.name ORDER BY m.name LIMIT 1)
		FROM series s WHERE s.name IS NOT NULL
	)
	SELECT jsonb_object_agg(s.name, jsonb_build_array(l.step,
		CASE WHEN l.value NOT IN ('NaN', 'Infinity', '-Infinity') THEN l.value END))
	FROM series s CROSS JOIN LATERAL (
		SELECT m.step, m.value FROM "metric_points" m WHERE m.run_id = r.id AND m.name = s.name ORDER BY m.step DESC LIMIT 1
	) l
	WHERE s.name NOT LIKE 'validation/binding/%'
), '{}');--> statement-breakpoint
INSERT INTO "run_changes" ("run_id", "kind", "xid") SELECT id, kind, pg_current_xact_id() FROM "runs";--> statement-breakpoint
CREATE FUNCTION note_run_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		UPDATE run_changes SET xid = pg_current_xact_id(), deleted = true WHERE run_id = OLD.id;
	ELSE
		INSERT INTO run_changes (run_id, kind, xid) VALUES (NEW.id, NEW.kind, pg_current_xact_id())
		ON CONFLICT (run_id) DO UPDATE SET xid = excluded.xid;
	END IF;
	RETURN NULL;
END
$$;--> statement-breakpoint
CREATE TRIGGER note_run_change AFTER INSERT OR UPDATE OR DELETE ON "runs"
FOR EACH ROW EXECUTE FUNCTION note_run_change();
