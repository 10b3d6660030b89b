CREATE TABLE "binding_looks" (
	"run_id" uuid NOT NULL,
	"step" integer NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"counts" integer[] NOT NULL,
	CONSTRAINT "binding_looks_run_id_step_pk" PRIMARY KEY("run_id","step")
);
--> statement-breakpoint
ALTER TABLE "binding_looks" ADD CONSTRAINT "binding_looks_run_id_runs_id_fk" FOREIGN KEY ("run_id") REFERENCES "runs"("id") ON DELETE cascade ON UPDATE no action;