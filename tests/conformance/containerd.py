"""What containerd 1.6 (Debian 12) does otherwise, by test: the endpoint behind the backend ``remote`` in this suite.

The backend passes on what the endpoint answers, so these are the endpoint's. Newer versions have fewer of them.
"""

from __future__ import annotations

from collections.abc import Mapping

_BY_REASON: Mapping[str, tuple[str, ...]] = {
    "has no GetContainerEvents": (
        "test_a_cancelled_stream_disturbs_nobody",
        "test_a_reader_that_leaves_early_leaves_nothing",
        "test_an_exit_by_itself_is_an_event",
        "test_each_event_has_the_pods_status",
        "test_each_event_has_the_status_of_every_container_of_the_pod",
        "test_events_are_stamped_in_nanoseconds",
        "test_every_subscriber_hears_everything",
        "test_removing_a_sandbox_tells_of_its_containers_too",
        "test_the_life_of_a_container_is_four_events",
        "test_the_life_of_a_sandbox_is_four_events",
    ),
    "has none of the Stream RPCs": (
        "test_a_stream_of_nothing_ends",
        "test_streamed_containers_are_the_listed_ones",
        "test_streamed_images_are_the_listed_ones",
        "test_streamed_sandbox_stats_are_the_listed_ones",
        "test_streamed_sandboxes_are_the_listed_ones",
        "test_streamed_stats_are_the_listed_ones",
    ),
    "has no metrics RPCs": (
        "test_a_sandbox_that_is_gone_is_not_measured",
        "test_every_metric_has_a_value_for_each_label",
        "test_every_metric_is_described",
        "test_every_metric_is_stamped_and_has_a_value",
        "test_every_metric_of_a_sandbox_has_a_descriptor",
        "test_memory_is_a_gauge_above_zero",
        "test_no_metric_comes_twice_with_the_same_labels",
        "test_streamed_metrics_are_the_listed_ones",
        "test_the_containers_of_a_sandbox_are_measured",
        "test_what_is_named_total_is_a_counter",
    ),
    "has no RuntimeConfig, so nobody can ask for its cgroup driver": (
        "test_a_sandbox_lives_in_its_cgroup_parent",
        "test_the_cgroup_driver_is_said",
    ),
    "has no UpdatePodSandboxResources": ("test_new_resources_of_a_sandbox_are_taken",),
    "does not know networks by name, static addresses or extra hosts; the backend refuses them": (
        "test_a_name_is_unknown_on_another_network",
        "test_a_named_network_is_made_when_it_is_missing",
        "test_a_network_can_have_both_families",
        "test_a_sandbox_without_network_has_loopback_only",
        "test_a_sandbox_without_network_has_no_address",
        "test_a_static_address_is_the_sandboxs_own",
        "test_a_static_address_that_is_taken_is_refused",
        "test_extra_hosts_are_known_by_name",
        "test_sandboxes_on_a_named_network_find_each_other_by_alias",
        "test_the_hardware_address_is_the_one_asked_for",
        "test_the_host_has_an_address_that_a_sandbox_can_name",
        "test_the_hosts_network_cannot_be_a_named_one_too",
    ),
    "pulls for its own platform only; the backend refuses any other": (
        "test_a_container_of_another_platform_than_the_images_is_refused",
        "test_a_pull_for_a_platform_that_the_image_lacks_is_not_found",
        "test_a_pull_takes_the_platform_that_was_asked_for",
        "test_the_platform_of_container_and_sandbox_count_for_the_container",
        "test_the_sandboxs_platform_counts_for_a_pull",
    ),
    "answers UNKNOWN, or another code, where CRI has a specific one": (
        "test_a_command_that_does_not_exist_fails_the_start",
        "test_a_command_that_does_not_exist_is_told",
        "test_a_container_starts_once",
        "test_a_container_that_does_not_run_gives_no_url",
        "test_a_container_that_does_not_run_takes_no_command",
        "test_a_reference_that_is_none_is_refused",
        "test_a_registry_refuses_who_may_not_pull",
        "test_a_sandbox_whose_run_was_cancelled_can_be_run",
        "test_a_stopped_sandbox_forwards_nothing",
        "test_a_stopped_sandbox_takes_no_container",
        "test_a_sysctl_of_the_host_is_refused",
        "test_an_empty_command_is_refused",
        "test_an_exited_container_does_not_start_again",
        "test_an_exited_container_takes_no_command",
        "test_an_unknown_handler_is_refused",
        "test_removals_at_once_all_succeed",
        "test_reopening_the_log_of_a_created_container_is_refused_and_makes_no_file",
        "test_reopening_the_log_of_an_exited_container_is_refused_and_makes_no_file",
        "test_the_same_container_again_joins_or_is_told_clearly",
        "test_the_same_metadata_is_still_taken",
        "test_the_same_sandbox_again_joins_or_is_told_clearly",
        "test_the_same_sandbox_at_once_is_one_sandbox",
    ),
    "does not know the field, which is younger, and ignores it": (
        "test_a_container_is_made_from_an_images_id",
        "test_a_recursive_readonly_mount_covers_what_is_mounted_below",
        "test_a_sandbox_can_have_users_of_its_own",
        "test_an_image_can_be_mounted",
        "test_a_part_of_an_image_can_be_mounted",
        "test_an_image_or_a_part_that_is_not_there_is_not_mounted",
        "test_a_mounted_image_cannot_be_written",
        "test_an_image_from_several_registries_is_one_image",
        "test_groups_of_the_image_are_left_out_when_that_is_asked_for",
        "test_recursive_readonly_mounts_are_announced_when_they_are_possible",
        "test_status_lists_the_default_handler",
        "test_the_configs_stop_signal_goes_over_the_images",
        "test_the_configs_stop_signal_is_sent",
        "test_the_image_of_a_container_is_the_images_id",
        "test_the_pulls_answer_is_the_images_id_everywhere",
        "test_the_status_announces_the_strict_policy_when_it_is_kept",
        "test_the_status_says_the_user",
        "test_the_stop_signal_comes_back_in_the_status",
    ),
    "lists in no order, and the image by another of its names than Status": (
        "test_a_list_is_the_same_twice",
        "test_images_are_listed_by_name",
        "test_list_and_status_agree",
        "test_lists_are_sorted_newest_first",
        "test_sandboxes_and_containers_are_found_again",
    ),
    "wants capabilities without CAP_, has no ambient ones and takes those that nobody knows": (
        "test_ambient_capabilities_reach_a_user_that_is_not_root",
        "test_an_unknown_capability_is_refused",
        "test_capabilities_are_added",
    ),
    "waits for every process that holds a stream of an exec": (
        "test_a_background_child_that_holds_the_pipe_does_not_hang_the_call",
        "test_on_timeout_the_process_and_its_children_are_killed",
    ),
    "makes an answer of cut output that is larger than it may send": ("test_each_stream_is_cut_at_16_mib",),
    "may fail to remove a container that ends just now": ("test_an_attached_client_is_told_the_end",),
    "lets a command go on when its client hangs up": ("test_a_client_that_hangs_up_ends_the_command",),
    "may lose a terminal's output over WebSocket": ("test_a_terminal_has_one_stream",),
    "cannot read the cgroup of a sandbox that names no parent, so it has no stats": (
        "test_a_sandbox_uses_at_least_what_its_containers_use",
        "test_a_sandboxs_stats_have_its_containers",
        "test_a_sandboxs_traffic_is_counted",
        "test_sandbox_stats_are_filtered_by_label",
    ),
    "lists the stats of containers that do not run, and those of layers late": (
        "test_only_running_containers_are_listed",
        "test_the_writable_layer_is_told",
    ),
    "publishes by rules of the firewall, which take a port that somebody listens on": (
        "test_a_host_port_that_is_taken_is_refused_and_free_again_after_the_stop",
    ),
    "answers UNKNOWN to the second of two creates at once": ("test_the_same_container_at_once_is_one_container",),
    "notes the start of a process after it began, so that a quick one may have ended before": (
        "test_timestamps_are_nanoseconds_and_in_order",
    ),
    "says more in Status than JSON": ("test_verbose_status_tells_more",),
    "has a WebSocket of version 4 alone, which cannot end its input": (
        "test_a_guest_that_ends_its_input_is_seen_off",
        "test_input_that_is_open_once_lets_its_guest_read_on",
    ),
}

DIFFERENCES: Mapping[str, str] = {
    test: f"containerd 1.6 {reason}" for reason, tests in _BY_REASON.items() for test in tests
}
"""Why containerd may fail a test, by the test's name."""
