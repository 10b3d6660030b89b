CREATE TABLE "concept_latents" (
	"run_id" uuid NOT NULL,
	"concept_id" uuid NOT NULL,
	"latent" integer NOT NULL,
	"separability" double precision NOT NULL,
	"held_out_separability" double precision,
	"mean_activation" double precision NOT NULL,
	"fragmentation" integer NOT NULL,
	CONSTRAINT "concept_latents_run_id_concept_id_pk" PRIMARY KEY("run_id","concept_id")
);
--> statement-breakpoint
CREATE TABLE "faithfulness" (
	"run_id" uuid NOT NULL,
	"split" text NOT NULL,
	"replacement" text NOT NULL,
	"prompts" integer NOT NULL,
	"correct" integer NOT NULL,
	"cross_entropy" double precision NOT NULL,
	CONSTRAINT "faithfulness_run_id_split_replacement_pk" PRIMARY KEY("run_id","split","replacement"),
	CONSTRAINT "faithfulness_split" CHECK ("faithfulness"."split" in ('TRAIN', 'VALIDATION', 'TEST_OOD')),
	CONSTRAINT "faithfulness_replacement" CHECK ("faithfulness"."replacement" in ('CLEAN', 'RECONSTRUCTION', 'MEAN', 'ZERO')),
	CONSTRAINT "faithfulness_counts" CHECK ("faithfulness"."correct" between 0 and "faithfulness"."prompts")
);
--> statement-breakpoint
CREATE TABLE "sweep_cells" (
	"run_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"edited" text NOT NULL,
	"method" text NOT NULL,
	"alpha" double precision NOT NULL,
	"trials" integer NOT NULL,
	"successes" integer NOT NULL,
	"other_prompts" integer NOT NULL,
	"other_prompts_kept" integer NOT NULL,
	"texts" integer NOT NULL,
	"texts_kept" integer NOT NULL,
	"statements" integer NOT NULL,
	"statements_kept" integer NOT NULL,
	"pairs" jsonb NOT NULL,
	CONSTRAINT "sweep_cells_run_id_position_pk" PRIMARY KEY("run_id","position"),
	CONSTRAINT "sweep_cells_what" UNIQUE("run_id","edited","method","alpha"),
	CONSTRAINT "sweep_cells_edited" CHECK ("sweep_cells"."edited" in ('CONCEPT', 'UNSUPERVISED_LATENT', 'RANDOM_LATENT', 'MEAN_DIFFERENCE')),
	CONSTRAINT "sweep_cells_successes" CHECK ("sweep_cells"."successes" between 0 and "sweep_cells"."trials"),
	CONSTRAINT "sweep_cells_other_prompts" CHECK ("sweep_cells"."other_prompts_kept" between 0 and "sweep_cells"."other_prompts"),
	CONSTRAINT "sweep_cells_texts" CHECK ("sweep_cells"."texts_kept" between 0 and "sweep_cells"."texts"),
	CONSTRAINT "sweep_cells_statements" CHECK ("sweep_cells"."statements_kept" between 0 and "sweep_cells"."statements")
);
--> statement-breakpoint
ALTER TABLE "run_events" DROP CONSTRAINT "run_events_type";--> statement-breakpoint
ALTER TABLE "runs" DROP CONSTRAINT "runs_kind";--> statement-breakpoint
ALTER TABLE "interventions" ADD COLUMN "armed" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "parent_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "alignment_run_id" uuid;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "baseline_run_id" uuid;--> statement-breakpoint
ALTER TABLE "concept_latents" ADD CONSTRAINT "concept_latents_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "concept_latents" ADD CONSTRAINT "concept_latents_concept_id_concepts_id_fk" FOREIGN KEY ("concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "faithfulness" ADD CONSTRAINT "faithfulness_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sweep_cells" ADD CONSTRAINT "sweep_cells_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "concept_latents_concept" ON "concept_latents" USING btree ("concept_id");--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_parent_id_runs_id_fk" FOREIGN KEY ("parent_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_alignment_run_id_runs_id_fk" FOREIGN KEY ("alignment_run_id") REFERENCES "runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_baseline_run_id_runs_id_fk" FOREIGN KEY ("baseline_run_id") REFERENCES "runs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "runs_parent" ON "runs" USING btree ("parent_id","created_at","id");--> statement-breakpoint
CREATE INDEX "runs_alignment" ON "runs" USING btree ("alignment_run_id");--> statement-breakpoint
CREATE INDEX "runs_baseline" ON "runs" USING btree ("baseline_run_id");--> statement-breakpoint
ALTER TABLE "run_events" ADD CONSTRAINT "run_events_type" CHECK ("run_events"."type" in ('STATUS', 'LOG', 'PART', 'CELL'));--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_kind" CHECK ("runs"."kind" in ('MODEL', 'ALIGNMENT', 'BASELINE', 'SWAP_SWEEP', 'ALIGNMENT_SWEEP'));