CREATE TABLE "corpora" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"tags" text[] DEFAULT '{}' NOT NULL,
	"notes" text DEFAULT '' NOT NULL,
	"source" jsonb NOT NULL,
	"documents" integer NOT NULL,
	"bytes" bigint NOT NULL,
	"artifact_hash" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "corpus_id" uuid;--> statement-breakpoint
ALTER TABLE "corpora" ADD CONSTRAINT "corpora_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "corpora_created" ON "corpora" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "corpora_artifact" ON "corpora" USING btree ("artifact_hash");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_corpus_id_corpora_id_fk" FOREIGN KEY ("corpus_id") REFERENCES "corpora"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_corpus" ON "runs" USING btree ("corpus_id");--> statement-breakpoint
UPDATE "runs" SET "settings" = '{"pretrainOn": "PROMPTS", "silenceOn": "DATASET", "silentRows": 64, "texts": {"contextLength": 128, "bufferRows": 32768, "draws": 1}}' || "settings" WHERE "kind" = 'ALIGNMENT';--> statement-breakpoint
UPDATE "runs" SET "settings" = '{"trainOn": "PROMPTS", "texts": {"contextLength": 128, "bufferRows": 32768, "draws": 1}}' || "settings" WHERE "kind" = 'BASELINE';--> statement-breakpoint
UPDATE "runs" SET "settings" = jsonb_set("settings", '{alignment}', '{"pretrainOn": "PROMPTS", "silenceOn": "DATASET", "silentRows": 64, "texts": {"contextLength": 128, "bufferRows": 32768, "draws": 1}}' || ("settings" -> 'alignment')) WHERE "kind" = 'ALIGNMENT_SWEEP';