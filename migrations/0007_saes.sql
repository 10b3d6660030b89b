CREATE TABLE "saes" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"tags" text[] DEFAULT '{}' NOT NULL,
	"notes" text DEFAULT '' NOT NULL,
	"run_id" uuid,
	"source" jsonb,
	"model_id" uuid NOT NULL,
	"dataset_id" uuid,
	"layer" integer NOT NULL,
	"config" jsonb NOT NULL,
	"artifact_hash" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "saes_run" UNIQUE("run_id","artifact_hash"),
	CONSTRAINT "saes_origin" CHECK (num_nonnulls("saes"."run_id", "saes"."source") = 1),
	CONSTRAINT "saes_layer" CHECK ("saes"."layer" >= -1)
);
--> statement-breakpoint
ALTER TABLE "saes" ADD CONSTRAINT "saes_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "saes" ADD CONSTRAINT "saes_model_id_models_id_fk" FOREIGN KEY ("model_id") REFERENCES "models"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "saes" ADD CONSTRAINT "saes_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "saes" ADD CONSTRAINT "saes_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "saes_created" ON "saes" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "saes_model" ON "saes" USING btree ("model_id","created_at","id");--> statement-breakpoint
CREATE INDEX "saes_dataset" ON "saes" USING btree ("dataset_id");--> statement-breakpoint
CREATE INDEX "saes_artifact" ON "saes" USING btree ("artifact_hash");--> statement-breakpoint
INSERT INTO "saes" ("name", "run_id", "model_id", "dataset_id", "layer", "config", "artifact_hash", "created_at")
SELECT coalesce(nullif(r."name", ''), 'SAE of ' || m."name" || ', ' || CASE WHEN (r."settings" ->> 'layer')::int < 0 THEN 'before block 0' ELSE 'block ' || (r."settings" ->> 'layer') END),
	r."id", m."id", r."dataset_id", (r."settings" ->> 'layer')::int,
	jsonb_build_object('dModel', m."config" -> 'dModel', 'nFree', r."settings" -> 'nFree',
		'nConcepts', CASE r."kind" WHEN 'ALIGNMENT' THEN (SELECT count(*) FROM "concepts" c JOIN "datasets" d ON d."ontology_id" = c."ontology_id" WHERE d."id" = r."dataset_id") ELSE 0 END,
		'activation', coalesce(r."settings" -> 'activation', '"RELU"'), 'k', coalesce(r."settings" -> 'k', '32')),
	r."artifact_hash", coalesce(r."finished_at", r."created_at")
FROM "runs" r JOIN "models" m ON m."id" = r."model_id"
WHERE r."kind" IN ('ALIGNMENT', 'BASELINE') AND r."status" = 'SUCCEEDED' AND r."artifact_hash" IS NOT NULL;--> statement-breakpoint
INSERT INTO "saes" ("name", "run_id", "model_id", "dataset_id", "layer", "config", "artifact_hash", "created_at")
SELECT DISTINCT ON (r."id", h."artifact_hash")
	coalesce(nullif(r."name", ''), 'SAE of ' || m."name" || ', ' || CASE WHEN (a."settings" ->> 'layer')::int < 0 THEN 'before block 0' ELSE 'block ' || (a."settings" ->> 'layer') END),
	r."id", m."id", r."dataset_id", (a."settings" ->> 'layer')::int,
	jsonb_build_object('dModel', m."config" -> 'dModel', 'nFree', a."settings" -> 'nFree',
		'nConcepts', (SELECT count(*) FROM "concepts" c JOIN "datasets" d ON d."ontology_id" = c."ontology_id" WHERE d."id" = r."dataset_id"),
		'activation', CASE a."settings" ->> 'preset' WHEN 'PAPER' THEN 'LINEAR' ELSE 'RELU' END, 'k', 32),
	h."artifact_hash", coalesce(r."finished_at", r."created_at")
FROM "hop_saes" h JOIN "runs" r ON r."id" = h."run_id" JOIN "models" m ON m."id" = r."model_id"
	CROSS JOIN LATERAL (SELECT CASE r."kind" WHEN 'HOP_SWAP' THEN r."settings" -> 'analysis' ELSE r."settings" END) a ("settings")
WHERE r."status" = 'SUCCEEDED'
ORDER BY r."id", h."artifact_hash", h."hop";
