CREATE TABLE "metric_buckets" (
	"run_id" uuid NOT NULL,
	"name" text NOT NULL,
	"level" smallint NOT NULL,
	"k" integer NOT NULL,
	"last_step" integer NOT NULL,
	"low_step" integer NOT NULL,
	"low_value" double precision NOT NULL,
	"low_at" timestamp (3) with time zone NOT NULL,
	"high_step" integer NOT NULL,
	"high_value" double precision NOT NULL,
	"high_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "metric_buckets_run_id_name_level_k_pk" PRIMARY KEY("run_id","name","level","k"),
	CONSTRAINT "metric_buckets_place" CHECK ("metric_buckets"."level" >= 1 and "metric_buckets"."k" >= 0)
);
--> statement-breakpoint
CREATE TABLE "installation" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "installation_only" CHECK ("installation"."only")
);
--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "deaths" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "metric_buckets" ADD CONSTRAINT "metric_buckets_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;