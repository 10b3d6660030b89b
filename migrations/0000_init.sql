CREATE TABLE "api_keys" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"hash" text NOT NULL,
	"scopes" text[] NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "api_keys_hash" UNIQUE("hash"),
	CONSTRAINT "api_keys_scopes" CHECK (cardinality("api_keys"."scopes") > 0 and "api_keys"."scopes" <@ array['READ', 'RUN', 'ADMIN'])
);
--> statement-breakpoint
CREATE TABLE "artifacts" (
	"hash" text PRIMARY KEY NOT NULL,
	"bytes" bigint NOT NULL,
	"kind" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "artifacts_hash_form" CHECK ("artifacts"."hash" ~ '^[0-9a-f]{64}$')
);
--> statement-breakpoint
CREATE TABLE "checkpoints" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"step" integer NOT NULL,
	"artifact_hash" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "concepts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"ontology_id" uuid NOT NULL,
	"key" text NOT NULL,
	"label" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"position" integer NOT NULL,
	CONSTRAINT "concepts_ontology_key" UNIQUE("ontology_id","key"),
	CONSTRAINT "concepts_ontology_position" UNIQUE("ontology_id","position")
);
--> statement-breakpoint
CREATE TABLE "datasets" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"ontology_id" uuid NOT NULL,
	"name" text NOT NULL,
	"kind" text NOT NULL,
	"settings" jsonb NOT NULL,
	"content_hash" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "datasets_kind" CHECK ("datasets"."kind" in ('BIOGRAPHY', 'TWO_HOP', 'PROMPTS'))
);
--> statement-breakpoint
CREATE TABLE "example_concepts" (
	"example_id" uuid NOT NULL,
	"hop" smallint NOT NULL,
	"concept_id" uuid NOT NULL,
	CONSTRAINT "example_concepts_example_id_hop_pk" PRIMARY KEY("example_id","hop"),
	CONSTRAINT "example_concepts_hop" CHECK ("example_concepts"."hop" in (1, 2))
);
--> statement-breakpoint
CREATE TABLE "examples" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"dataset_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"kind" text NOT NULL,
	"split" text NOT NULL,
	"prompt" text NOT NULL,
	"answer" text,
	"entity" text NOT NULL,
	"template" text DEFAULT '' NOT NULL,
	CONSTRAINT "examples_dataset_position" UNIQUE("dataset_id","position"),
	CONSTRAINT "examples_kind" CHECK ("examples"."kind" in ('QUESTION', 'TEXT')),
	CONSTRAINT "examples_split" CHECK ("examples"."split" in ('TRAIN', 'VALIDATION', 'TEST_OOD')),
	CONSTRAINT "examples_answer" CHECK (("examples"."kind" = 'TEXT') = ("examples"."answer" is null))
);
--> statement-breakpoint
CREATE TABLE "facts" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"dataset_id" uuid NOT NULL,
	"position" integer NOT NULL,
	"entity" text NOT NULL,
	"concept_id" uuid NOT NULL,
	"value" text NOT NULL,
	CONSTRAINT "facts_dataset_position" UNIQUE("dataset_id","position")
);
--> statement-breakpoint
CREATE TABLE "interventions" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"run_id" uuid NOT NULL,
	"example_id" uuid,
	"method" text NOT NULL,
	"alpha" double precision NOT NULL,
	"source_concept_id" uuid NOT NULL,
	"target_concept_id" uuid NOT NULL,
	"prompt" text NOT NULL,
	"expected_answer" text,
	"success" boolean,
	"baseline" jsonb NOT NULL,
	"result" jsonb NOT NULL,
	"slots" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "metric_points" (
	"run_id" uuid NOT NULL,
	"name" text NOT NULL,
	"step" integer NOT NULL,
	"value" double precision NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"seq" bigint NOT NULL,
	CONSTRAINT "metric_points_run_id_name_step_pk" PRIMARY KEY("run_id","name","step"),
	CONSTRAINT "metric_points_step" CHECK ("metric_points"."step" >= 0)
);
--> statement-breakpoint
CREATE TABLE "models" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"name" text NOT NULL,
	"dataset_id" uuid,
	"config" jsonb NOT NULL,
	"tokenizer" jsonb NOT NULL,
	"n_params" bigint NOT NULL,
	"accuracy" jsonb NOT NULL,
	"artifact_hash" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "ontologies" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"slug" text NOT NULL,
	"version" integer NOT NULL,
	"name" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "ontologies_slug_version" UNIQUE("slug","version"),
	CONSTRAINT "ontologies_slug_form" CHECK ("ontologies"."slug" ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
	CONSTRAINT "ontologies_version_positive" CHECK ("ontologies"."version" > 0)
);
--> statement-breakpoint
CREATE TABLE "run_events" (
	"run_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"type" text NOT NULL,
	"payload" jsonb NOT NULL,
	CONSTRAINT "run_events_run_id_seq_pk" PRIMARY KEY("run_id","seq"),
	CONSTRAINT "run_events_type" CHECK ("run_events"."type" in ('STATUS', 'LOG'))
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"kind" text NOT NULL,
	"status" text DEFAULT 'QUEUED' NOT NULL,
	"phase" text DEFAULT 'QUEUED' NOT NULL,
	"progress" real DEFAULT 0 NOT NULL,
	"eta_seconds" real,
	"settings" jsonb NOT NULL,
	"seed" integer NOT NULL,
	"dataset_id" uuid NOT NULL,
	"dataset_hash" text NOT NULL,
	"model_id" uuid,
	"artifact_hash" text,
	"result" jsonb,
	"backend" text,
	"code_version" text NOT NULL,
	"worker_id" uuid,
	"attempt" integer DEFAULT 0 NOT NULL,
	"last_seq" bigint DEFAULT 0 NOT NULL,
	"error_code" text,
	"error_message" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "runs_kind" CHECK ("runs"."kind" in ('MODEL', 'ALIGNMENT')),
	CONSTRAINT "runs_status_known" CHECK ("runs"."status" in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
	CONSTRAINT "runs_progress_share" CHECK ("runs"."progress" between 0 and 1),
	CONSTRAINT "runs_finished" CHECK (("runs"."finished_at" is not null) = ("runs"."status" in ('SUCCEEDED', 'FAILED', 'CANCELLED'))),
	CONSTRAINT "runs_error" CHECK (("runs"."error_code" is not null) = ("runs"."status" = 'FAILED'))
);
--> statement-breakpoint
CREATE TABLE "slots" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"run_id" uuid NOT NULL,
	"concept_id" uuid NOT NULL,
	"index" integer NOT NULL,
	"top_examples" jsonb NOT NULL,
	"top_tokens" jsonb NOT NULL,
	CONSTRAINT "slots_run_index" UNIQUE("run_id","index"),
	CONSTRAINT "slots_run_concept" UNIQUE("run_id","concept_id")
);
--> statement-breakpoint
CREATE TABLE "split_measures" (
	"run_id" uuid NOT NULL,
	"split" text NOT NULL,
	"examples" integer NOT NULL,
	"accuracy" double precision NOT NULL,
	"top3" double precision NOT NULL,
	"top5" double precision NOT NULL,
	"diagonal_accuracy" double precision NOT NULL,
	"diagonal_strength" double precision NOT NULL,
	"matrix" jsonb NOT NULL,
	"concept_accuracy" jsonb NOT NULL,
	"value_accuracy" double precision,
	"fvu" double precision NOT NULL,
	"l0" double precision NOT NULL,
	"dead_latents" double precision NOT NULL,
	CONSTRAINT "split_measures_run_id_split_pk" PRIMARY KEY("run_id","split"),
	CONSTRAINT "split_measures_split" CHECK ("split_measures"."split" in ('TRAIN', 'VALIDATION', 'TEST_OOD')),
	CONSTRAINT "split_measures_accuracy" CHECK ("split_measures"."accuracy" between 0 and 1)
);
--> statement-breakpoint
CREATE TABLE "swap_measures" (
	"run_id" uuid NOT NULL,
	"control" text NOT NULL,
	"population" text NOT NULL,
	"split" text NOT NULL,
	"alpha" double precision NOT NULL,
	"trials" integer NOT NULL,
	"successes" integer NOT NULL,
	"chosen" boolean NOT NULL,
	CONSTRAINT "swap_measures_run_id_control_population_split_alpha_pk" PRIMARY KEY("run_id","control","population","split","alpha"),
	CONSTRAINT "swap_measures_counts" CHECK ("swap_measures"."successes" between 0 and "swap_measures"."trials")
);
--> statement-breakpoint
CREATE TABLE "workers" (
	"id" uuid PRIMARY KEY NOT NULL,
	"lock_key" integer GENERATED ALWAYS AS IDENTITY (sequence name "workers_lock_key_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1),
	"hostname" text NOT NULL,
	"pid" integer NOT NULL,
	"backend" text NOT NULL,
	"tensorflow_version" text,
	"devices" jsonb NOT NULL,
	"fallback_reason" text,
	"started_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_seen_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "checkpoints" ADD CONSTRAINT "checkpoints_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "checkpoints" ADD CONSTRAINT "checkpoints_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "concepts" ADD CONSTRAINT "concepts_ontology_id_ontologies_id_fk" FOREIGN KEY ("ontology_id") REFERENCES "ontologies"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "datasets" ADD CONSTRAINT "datasets_ontology_id_ontologies_id_fk" FOREIGN KEY ("ontology_id") REFERENCES "ontologies"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "example_concepts" ADD CONSTRAINT "example_concepts_example_id_examples_id_fk" FOREIGN KEY ("example_id") REFERENCES "examples"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "example_concepts" ADD CONSTRAINT "example_concepts_concept_id_concepts_id_fk" FOREIGN KEY ("concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "examples" ADD CONSTRAINT "examples_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "facts" ADD CONSTRAINT "facts_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "facts" ADD CONSTRAINT "facts_concept_id_concepts_id_fk" FOREIGN KEY ("concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "interventions" ADD CONSTRAINT "interventions_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "interventions" ADD CONSTRAINT "interventions_example_id_examples_id_fk" FOREIGN KEY ("example_id") REFERENCES "examples"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "interventions" ADD CONSTRAINT "interventions_source_concept_id_concepts_id_fk" FOREIGN KEY ("source_concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "interventions" ADD CONSTRAINT "interventions_target_concept_id_concepts_id_fk" FOREIGN KEY ("target_concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "metric_points" ADD CONSTRAINT "metric_points_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "models" ADD CONSTRAINT "models_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "models" ADD CONSTRAINT "models_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "run_events" ADD CONSTRAINT "run_events_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_dataset_id_datasets_id_fk" FOREIGN KEY ("dataset_id") REFERENCES "datasets"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_model_id_models_id_fk" FOREIGN KEY ("model_id") REFERENCES "models"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_artifact_hash_artifacts_hash_fk" FOREIGN KEY ("artifact_hash") REFERENCES "artifacts"("hash") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_worker_id_workers_id_fk" FOREIGN KEY ("worker_id") REFERENCES "workers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "slots" ADD CONSTRAINT "slots_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "slots" ADD CONSTRAINT "slots_concept_id_concepts_id_fk" FOREIGN KEY ("concept_id") REFERENCES "concepts"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "split_measures" ADD CONSTRAINT "split_measures_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "swap_measures" ADD CONSTRAINT "swap_measures_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "checkpoints_artifact" ON "checkpoints" USING btree ("artifact_hash");--> statement-breakpoint
CREATE INDEX "datasets_ontology" ON "datasets" USING btree ("ontology_id","created_at","id");--> statement-breakpoint
CREATE INDEX "datasets_created" ON "datasets" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "example_concepts_concept" ON "example_concepts" USING btree ("concept_id");--> statement-breakpoint
CREATE INDEX "examples_dataset_split" ON "examples" USING btree ("dataset_id","split","position");--> statement-breakpoint
CREATE INDEX "facts_dataset_entity" ON "facts" USING btree ("dataset_id","entity","concept_id");--> statement-breakpoint
CREATE INDEX "facts_concept" ON "facts" USING btree ("concept_id");--> statement-breakpoint
CREATE INDEX "interventions_run" ON "interventions" USING btree ("run_id","created_at","id");--> statement-breakpoint
CREATE INDEX "interventions_run_success" ON "interventions" USING btree ("run_id","success","created_at","id");--> statement-breakpoint
CREATE INDEX "interventions_created" ON "interventions" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "interventions_example" ON "interventions" USING btree ("example_id");--> statement-breakpoint
CREATE INDEX "interventions_source" ON "interventions" USING btree ("source_concept_id");--> statement-breakpoint
CREATE INDEX "interventions_target" ON "interventions" USING btree ("target_concept_id");--> statement-breakpoint
CREATE INDEX "metric_points_seq" ON "metric_points" USING btree ("run_id","seq");--> statement-breakpoint
CREATE INDEX "models_created" ON "models" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "models_dataset" ON "models" USING btree ("dataset_id");--> statement-breakpoint
CREATE INDEX "models_artifact" ON "models" USING btree ("artifact_hash");--> statement-breakpoint
CREATE INDEX "ontologies_created" ON "ontologies" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "runs_created" ON "runs" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "runs_status" ON "runs" USING btree ("status","created_at","id");--> statement-breakpoint
CREATE INDEX "runs_worker" ON "runs" USING btree ("worker_id") WHERE "runs"."status" = 'RUNNING';--> statement-breakpoint
CREATE INDEX "runs_dataset" ON "runs" USING btree ("dataset_id");--> statement-breakpoint
CREATE INDEX "runs_model" ON "runs" USING btree ("model_id");--> statement-breakpoint
CREATE INDEX "runs_artifact" ON "runs" USING btree ("artifact_hash");--> statement-breakpoint
CREATE INDEX "slots_concept" ON "slots" USING btree ("concept_id","id");--> statement-breakpoint
CREATE INDEX "workers_alive" ON "workers" USING btree ("last_seen_at") WHERE "workers"."ended_at" is null;