CREATE TABLE "hop_saes" (
	"run_id" uuid NOT NULL,
	"hop" smallint NOT NULL,
	"artifact_hash" text NOT NULL,
	CONSTRAINT "hop_saes_run_id_hop_pk" PRIMARY KEY("run_id","hop"),
	CONSTRAINT "hop_saes_hop" CHECK ("hop_saes"."hop" in (1, 2))
);
--> statement-breakpoint
CREATE TABLE "hop_swaps" (
	"run_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"hop" smallint NOT NULL,
	"edited" text NOT NULL,
	"method" text NOT NULL,
	"alpha" double precision NOT NULL,
	"shown_trials" integer NOT NULL,
	"shown_successes" integer NOT NULL,
	"withheld_trials" integer NOT NULL,
	"withheld_successes" integer NOT NULL,
	"other_questions" integer NOT NULL,
	"other_questions_kept" integer NOT NULL,
	"choosing" jsonb NOT NULL,
	CONSTRAINT "hop_swaps_run_id_position_pk" PRIMARY KEY("run_id","position"),
	CONSTRAINT "hop_swaps_what" UNIQUE("run_id","hop","edited","method"),
	CONSTRAINT "hop_swaps_hop" CHECK ("hop_swaps"."hop" in (1, 2)),
	CONSTRAINT "hop_swaps_edited" CHECK ("hop_swaps"."edited" in ('CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE')),
	CONSTRAINT "hop_swaps_shown" CHECK ("hop_swaps"."shown_successes" between 0 and "hop_swaps"."shown_trials"),
	CONSTRAINT "hop_swaps_withheld" CHECK ("hop_swaps"."withheld_successes" between 0 and "hop_swaps"."withheld_trials"),
	CONSTRAINT "hop_swaps_other" CHECK ("hop_swaps"."other_questions_kept" between 0 and "hop_swaps"."other_questions")
);
--> statement-breakpoint
ALTER TABLE "runs" DROP CONSTRAINT "runs_kind";--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "analysis_run_id" uuid;--> statement-breakpoint
ALTER TABLE "hop_saes" ADD CONSTRAINT "hop_saes_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "hop_saes" ADD CONSTRAINT "hop_saes_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "hop_swaps" ADD CONSTRAINT "hop_swaps_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "hop_saes_artifact" ON "hop_saes" USING btree ("artifact_hash");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_analysis_run_id_runs_id_fk" FOREIGN KEY ("analysis_run_id") REFERENCES "runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_analysis" ON "runs" USING btree ("analysis_run_id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_kind" CHECK ("runs"."kind" in ('MODEL', 'ALIGNMENT', 'BASELINE', 'SWAP_SWEEP', 'ALIGNMENT_SWEEP', 'GROKKING', 'CHECKPOINT_ANALYSIS', 'HOP_SWAP'));--> statement-breakpoint
INSERT INTO "hop_saes" ("run_id", "hop", "artifact_hash") SELECT "id", "hop", "artifact_hash" FROM "runs", (VALUES (1), (2)) AS "hops" ("hop") WHERE "kind" = 'CHECKPOINT_ANALYSIS' AND "artifact_hash" IS NOT NULL;
